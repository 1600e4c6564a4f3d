//! Multiplications and divisions: what the driver wants to know of their operands.

use hoist_bpf::analysis::{Range, Values};
use hoist_bpf::opcode::{X, alu, class};

use super::Rule;
use super::survey::Survey;

impl Survey<'_> {
    pub(super) fn arithmetic(&mut self, values: &Values) {
        for spot in self.spots(values) {
            let insn = spot.insn();
            if !matches!(insn.class(), class::ALU | class::ALU64) {
                continue;
            }
            let Some(given) = values.given(spot.function, spot.position) else { continue };
            let (dst, src) = (given.dst.range(), given.src.range());
            let register = insn.code & X != 0;
            let name = |register: u8| format!("r{register}");
            let tell = |broken: Option<String>| broken.map(|why| format!("{insn}: {why}"));
            match insn.code & 0xf0 {
                alu::MUL => {
                    let first = too_large(&name(insn.dst()), dst);
                    let second = register.then(|| too_large(&name(insn.src()), src)).flatten();
                    let negative = (!register && insn.imm < 0 && insn.class() == class::ALU64)
                        .then(|| format!("the constant {} is extended to 64 bits", insn.imm));
                    for message in [first, second, negative].into_iter().filter_map(tell) {
                        self.broken(Rule::MultiplyRange, spot, message);
                    }
                }
                alu::DIV => {
                    let first = too_large(&name(insn.dst()), dst);
                    let second = match (register, src.constant()) {
                        (false, _) if insn.imm < 0 => {
                            Some(format!("the constant {} is negative", insn.imm))
                        }
                        (false, _) => None,
                        (true, None) => Some(format!(
                            "r{} is not known to be one constant ({}); a divisor written as a constant would do",
                            insn.src(),
                            words(src)
                        )),
                        (true, Some(0)) => Some(format!(
                            "r{} is 0, for which the driver has no answer",
                            insn.src()
                        )),
                        (true, Some(_)) => too_large(&name(insn.src()), src),
                    };
                    for message in [first, second].into_iter().filter_map(tell) {
                        self.broken(Rule::DivideRange, spot, message);
                    }
                }
                _ => {}
            }
        }
    }
}

/// What is wrong with an operand that may be beyond 32 bits.
fn too_large(register: &str, range: Range) -> Option<String> {
    if range.high <= Range::WORD.high {
        return None;
    }
    Some(if range.low > Range::WORD.high {
        format!("{register} is beyond 32 bits ({})", words(range))
    } else {
        format!(
            "it cannot be shown that {register} fits 32 bits ({}); masking it with 0xffffffff, or a comparison before, would",
            words(range)
        )
    })
}

/// A range in words.
fn words(range: Range) -> String {
    match range {
        Range::ALL => "it may be any number".to_owned(),
        Range { low, high } if low == high => format!("it is {low}"),
        Range { low, high } => format!("{low} to {high}"),
    }
}
