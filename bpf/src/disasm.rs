//! Instructions as text, in the kernel verifier's style.

use std::collections::HashMap;
use std::fmt;

use crate::insn::Insn;
use crate::module::{Function, Inst, InstId, Module, Target};
use crate::names;
use crate::opcode::{X, access_bytes, alu, atomic, class, jmp, mode, pseudo};

impl fmt::Display for Insn {
    /// One slot: `r0 = *(u32 *)(r1 +4)`. Of a wide instruction the lower half; distances of jumps
    /// and calls as they are encoded.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = match self.class() {
            class::LD => wide(*self, f)?,
            class::LDX => load(*self, f)?,
            class::ST | class::STX => store(*self, f)?,
            class::ALU | class::ALU64 => arithmetic(*self, f)?,
            _ => jump(*self, f)?,
        };
        if known {
            return Ok(());
        }
        let Self { code, off, imm, .. } = *self;
        write!(f, "(bad {code:02x}) dst {} src {} off {off} imm {imm}", self.dst(), self.src())
    }
}

/// One instruction of a function as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its name within the function.
    pub inst: InstId,
    /// Slot from the start of the function.
    pub slot: u32,
    /// What it does, with names for what it refers to.
    pub text: String,
}

/// The instructions of a function, in order.
#[must_use]
pub fn lines(module: &Module, function: &Function) -> Vec<Line> {
    let mut slots = Vec::with_capacity(function.code.len());
    let mut next = 0_usize;
    for inst in &function.code {
        slots.push(next);
        next += inst.slots();
    }
    let by_id: HashMap<_, _> =
        function.code.iter().map(|i| i.id).zip(slots.iter().copied()).collect();
    let slot_of = |inst: &Inst| match inst.target {
        Target::Jump(id) => by_id.get(&id).copied(),
        _ => None,
    };
    let line = |(inst, slot): (&Inst, &usize)| Line {
        inst: inst.id,
        slot: u32::try_from(*slot).unwrap_or(u32::MAX),
        text: named(module, inst, *slot, slot_of(inst)),
    };
    function.code.iter().zip(&slots).map(line).collect()
}

/// The listing of a function: slot number, code, and what each instruction does, with names for
/// what it refers to.
#[must_use]
pub fn listing(module: &Module, function: &Function) -> String {
    let mut text = format!("{}:\n", function.name);
    for (inst, Line { slot, text: line, .. }) in function.code.iter().zip(lines(module, function)) {
        text += &format!("{slot:5}: ({:02x}) {line}\n", inst.insn.code);
    }
    text
}

fn named(module: &Module, inst: &Inst, slot: usize, target: Option<usize>) -> String {
    let (insn, dst) = (inst.insn, inst.insn.dst());
    let name = |name: Option<&str>| name.unwrap_or("?").to_owned();
    let function = |id: u32| name(module.functions.get(id as usize).map(|f| f.name.as_str()));
    let map = |id: u32| name(module.maps.get(id as usize).map(|m| m.name.as_str()));
    match inst.target {
        Target::Map(id) => format!("r{dst} = map[{}]", map(id.0)),
        Target::MapValue { map: id, offset } => format!("r{dst} = map[{}][0]+{offset}", map(id.0)),
        Target::Call(id) => format!("call {}", function(id.0)),
        Target::FunctionAddress(id) => format!("r{dst} = func[{}]", function(id.0)),
        Target::Extern(id) => {
            let symbol = name(module.externs.get(id.0 as usize).map(|e| e.name.as_str()));
            match insn.is_wide() {
                true => format!("r{dst} = ksym[{symbol}]"),
                false => format!("call {symbol}"),
            }
        }
        Target::Jump(_) => match target {
            // As encoded, the distance counts from the next slot.
            Some(to) => {
                let distance = to as i64 - slot as i64 - 1;
                let off = i16::try_from(distance).unwrap_or(i16::MAX);
                let imm = if insn.class() == class::JMP32 && insn.code & 0xf0 == jmp::JA {
                    i32::try_from(distance).unwrap_or(i32::MAX)
                } else {
                    insn.imm
                };
                Insn { off, imm, ..insn }.to_string()
            }
            None => format!("{insn} (to nowhere)"),
        },
        Target::None => match inst.wide_imm {
            Some(high) => {
                let value = u64::from(high as u32) << 32 | u64::from(insn.imm as u32);
                format!("r{dst} = {value:#x} ll")
            }
            None => insn.to_string(),
        },
    }
}

fn wide(insn: Insn, f: &mut fmt::Formatter<'_>) -> Result<bool, fmt::Error> {
    let (dst, imm) = (insn.dst(), insn.imm);
    match (insn.is_wide(), insn.code & 0xe0) {
        (true, _) => match insn.src() {
            pseudo::MAP_FD => write!(f, "r{dst} = map[fd:{imm}]")?,
            pseudo::MAP_VALUE => write!(f, "r{dst} = map[fd:{imm}][0]")?,
            pseudo::FUNC => write!(f, "r{dst} = func[{imm:+}]")?,
            _ => write!(f, "r{dst} = {:#x} ll", imm as u32)?,
        },
        (_, mode::ABS) => write!(f, "r0 = *({} *)skb[{imm}]", unsigned(insn.code))?,
        (_, mode::IND) => {
            write!(f, "r0 = *({} *)skb[r{} + {imm}]", unsigned(insn.code), insn.src())?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn unsigned(code: u8) -> &'static str {
    match access_bytes(code) {
        1 => "u8",
        2 => "u16",
        8 => "u64",
        _ => "u32",
    }
}

fn load(insn: Insn, f: &mut fmt::Formatter<'_>) -> Result<bool, fmt::Error> {
    let size = unsigned(insn.code);
    let (dst, src, off) = (insn.dst(), insn.src(), insn.off);
    match insn.code & 0xe0 {
        mode::MEM => write!(f, "r{dst} = *({size} *)(r{src} {off:+})")?,
        mode::MEMSX => write!(f, "r{dst} = *(s{} *)(r{src} {off:+})", &size[1..])?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn store(insn: Insn, f: &mut fmt::Formatter<'_>) -> Result<bool, fmt::Error> {
    let size = unsigned(insn.code);
    let (dst, src, off, imm) = (insn.dst(), insn.src(), insn.off, insn.imm);
    match (insn.class(), insn.code & 0xe0) {
        (class::ST, mode::MEM) => write!(f, "*({size} *)(r{dst} {off:+}) = {imm}")?,
        (class::STX, mode::MEM) => write!(f, "*({size} *)(r{dst} {off:+}) = r{src}")?,
        (class::STX, mode::ATOMIC) => return atomic(insn, f),
        _ => return Ok(false),
    }
    Ok(true)
}

fn atomic(insn: Insn, f: &mut fmt::Formatter<'_>) -> Result<bool, fmt::Error> {
    let size = unsigned(insn.code);
    let (dst, src, off) = (insn.dst(), insn.src(), insn.off);
    let width = if size == "u64" { "64" } else { "" };
    match insn.imm {
        atomic::XCHG => write!(f, "r{src} = atomic{width}_xchg(r{dst} {off:+}, r{src})")?,
        atomic::CMPXCHG => write!(f, "r0 = atomic{width}_cmpxchg(r{dst} {off:+}, r0, r{src})")?,
        atomic::LOAD_ACQUIRE => write!(f, "r{dst} = load_acquire(({size} *)(r{src} {off:+}))")?,
        atomic::STORE_RELEASE => {
            write!(f, "store_release(({size} *)(r{dst} {off:+}), r{src})")?;
        }
        op => {
            let (name, sign) = match (op & 0xf0) as u8 {
                alu::ADD => ("add", "+"),
                alu::AND => ("and", "&"),
                alu::OR => ("or", "|"),
                alu::XOR => ("xor", "^"),
                _ => return Ok(false),
            };
            match op & atomic::FETCH {
                0 => write!(f, "lock *({size} *)(r{dst} {off:+}) {sign}= r{src}")?,
                _ => write!(
                    f,
                    "r{src} = atomic{width}_fetch_{name}(({size} *)(r{dst} {off:+}), r{src})"
                )?,
            }
        }
    }
    Ok(true)
}

/// Registers are called `w` where 32 bits of them count.
fn arithmetic(insn: Insn, f: &mut fmt::Formatter<'_>) -> Result<bool, fmt::Error> {
    let r = if insn.class() == class::ALU { 'w' } else { 'r' };
    let (dst, src, imm, off) = (insn.dst(), insn.src(), insn.imm, insn.off);
    let by_register = insn.code & X != 0;
    let sign = match insn.code & 0xf0 {
        alu::ADD => "+=",
        alu::SUB => "-=",
        alu::MUL => "*=",
        alu::DIV if off == 0 => "/=",
        alu::DIV => "s/=",
        alu::OR => "|=",
        alu::AND => "&=",
        alu::LSH => "<<=",
        alu::RSH => ">>=",
        alu::MOD if off == 0 => "%=",
        alu::MOD => "s%=",
        alu::XOR => "^=",
        alu::ARSH => "s>>=",
        alu::MOV if off == 0 => "=",
        alu::MOV if matches!(off, 8 | 16 | 32) && by_register => {
            write!(f, "{r}{dst} = (s{off}){r}{src}")?;
            return Ok(true);
        }
        alu::NEG => {
            write!(f, "{r}{dst} = -{r}{dst}")?;
            return Ok(true);
        }
        alu::END => {
            let order = match (insn.class(), by_register) {
                (class::ALU64, _) => "bswap",
                (_, true) => "be",
                (_, false) => "le",
            };
            write!(f, "r{dst} = {order}{imm} r{dst}")?;
            return Ok(true);
        }
        _ => return Ok(false),
    };
    match by_register {
        true => write!(f, "{r}{dst} {sign} {r}{src}")?,
        false => write!(f, "{r}{dst} {sign} {imm}")?,
    }
    Ok(true)
}

fn jump(insn: Insn, f: &mut fmt::Formatter<'_>) -> Result<bool, fmt::Error> {
    let (dst, src, imm, off) = (insn.dst(), insn.src(), insn.imm, insn.off);
    let narrow = insn.class() == class::JMP32;
    let sign = match insn.code & 0xf0 {
        jmp::JA if insn.code & X != 0 => {
            write!(f, "gotox r{dst}")?;
            return Ok(true);
        }
        jmp::JA if narrow => {
            write!(f, "gotol pc{imm:+}")?;
            return Ok(true);
        }
        jmp::JA => {
            write!(f, "goto pc{off:+}")?;
            return Ok(true);
        }
        jmp::CALL if !narrow => {
            match src {
                pseudo::HELPER_CALL => write!(f, "call {}#{imm}", names::helper(imm as u32))?,
                pseudo::CALL => write!(f, "call pc{imm:+}")?,
                _ => write!(f, "call kernel-function#{imm}")?,
            }
            return Ok(true);
        }
        jmp::EXIT if !narrow => {
            f.write_str("exit")?;
            return Ok(true);
        }
        jmp::JCOND if !narrow => {
            write!(f, "may_goto pc{off:+}")?;
            return Ok(true);
        }
        jmp::JEQ => "==",
        jmp::JNE => "!=",
        jmp::JGT => ">",
        jmp::JGE => ">=",
        jmp::JLT => "<",
        jmp::JLE => "<=",
        jmp::JSGT => "s>",
        jmp::JSGE => "s>=",
        jmp::JSLT => "s<",
        jmp::JSLE => "s<=",
        jmp::JSET => "&",
        _ => return Ok(false),
    };
    let r = if narrow { 'w' } else { 'r' };
    match insn.code & X != 0 {
        true => write!(f, "if {r}{dst} {sign} {r}{src} goto pc{off:+}")?,
        // The kernel prints these in hex; a mask is easier to read so, a count is not.
        false if sign == "&" => write!(f, "if {r}{dst} & {imm:#x} goto pc{off:+}")?,
        false => write!(f, "if {r}{dst} {sign} {imm} goto pc{off:+}")?,
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_read_as_the_verifier_prints_them() {
        for (code, dst, src, off, imm, text) in [
            (0xb7, 0, 0, 0, -1, "r0 = -1"),
            (0xb4, 0, 0, 0, 2, "w0 = 2"),
            (0xbf, 6, 1, 0, 0, "r6 = r1"),
            (0xbf, 1, 2, 8, 0, "r1 = (s8)r2"),
            (0xbc, 1, 2, 16, 0, "w1 = (s16)w2"),
            (0x1f, 2, 3, 0, 0, "r2 -= r3"),
            (0x3f, 2, 3, 1, 0, "r2 s/= r3"),
            (0x97, 2, 0, 0, 7, "r2 %= 7"),
            (0xc7, 2, 0, 0, 3, "r2 s>>= 3"),
            (0x87, 2, 0, 0, 0, "r2 = -r2"),
            (0xdc, 2, 0, 0, 16, "r2 = be16 r2"),
            (0xd4, 2, 0, 0, 64, "r2 = le64 r2"),
            (0xd7, 2, 0, 0, 32, "r2 = bswap32 r2"),
            (0x61, 2, 1, 4, 0, "r2 = *(u32 *)(r1 +4)"),
            (0x91, 2, 1, -3, 0, "r2 = *(s8 *)(r1 -3)"),
            (0x7b, 10, 1, -8, 0, "*(u64 *)(r10 -8) = r1"),
            (0x6a, 10, 0, -2, 5, "*(u16 *)(r10 -2) = 5"),
            (0xdb, 1, 2, 0, 0, "lock *(u64 *)(r1 +0) += r2"),
            (0xc3, 1, 2, 4, 0x51, "r2 = atomic_fetch_and((u32 *)(r1 +4), r2)"),
            (0xdb, 1, 2, 0, 0xf1, "r0 = atomic64_cmpxchg(r1 +0, r0, r2)"),
            (0x18, 1, 1, 0, 5, "r1 = map[fd:5]"),
            (0x15, 1, 0, 3, 0, "if r1 == 0 goto pc+3"),
            (0xae, 1, 2, -3, 0, "if w1 < w2 goto pc-3"),
            (0x45, 1, 0, 1, 0x80, "if r1 & 0x80 goto pc+1"),
            (0x05, 0, 0, -4, 0, "goto pc-4"),
            (0x06, 0, 0, 0, 70_000, "gotol pc+70000"),
            (0xe5, 0, 0, 2, 0, "may_goto pc+2"),
            (0x85, 0, 0, 0, 1, "call bpf_map_lookup_elem#1"),
            (0x85, 0, 1, 0, -1, "call pc-1"),
            (0x95, 0, 0, 0, 0, "exit"),
            (0xff, 1, 2, 3, 4, "(bad ff) dst 1 src 2 off 3 imm 4"),
        ] {
            assert_eq!(Insn::new(code, dst, src, off, imm).to_string(), text);
        }
    }

    #[test]
    fn listings_use_names() {
        let module = Module::parse(
            "redirect_devmap",
            crate::programs::get("redirect_devmap").unwrap().object,
        )
        .unwrap();
        let text = listing(&module, &module.functions[0]);
        assert_eq!(
            text,
            "xdp_redirect_devmap:\n    \
             0: (61) r2 = *(u32 *)(r1 +16)\n    \
             1: (18) r1 = map[ports]\n    \
             3: (b7) r3 = 2\n    \
             4: (85) call bpf_redirect_map#51\n    \
             5: (95) exit\n"
        );
        let module =
            Module::parse("subprog", crate::programs::get("subprog").unwrap().object).unwrap();
        let text: String = module.functions.iter().map(|f| listing(&module, f)).collect();
        for part in ["call ethertype", "call account", "= map[.bss][0]+0", "goto pc+"] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}
