//! From instructions to operations (RFC 9669).

use std::collections::HashMap;

use hoist_bpf::insn::Insn;
use hoist_bpf::module::{
    self, DataSection, ExternKind, Inst, InstId, MapId, Module, Resolution, Target,
};
use hoist_bpf::opcode::{X, alu, atomic, class, jmp, mode, pseudo, size};

use super::{
    AluOp, AtomicOp, Code, Condition, Function, Invalid, Op, Order, Register, Size, Source,
    SwapWidth,
};
use crate::userspace::environment;
use crate::userspace::vm::address;

/// Number of `bpf_tail_call`.
const TAIL_CALL: i32 = 12;

impl Code {
    /// Decodes every function of a module. Whatever is wrong with an instruction becomes an
    /// [`Op::Invalid`] in its place.
    #[must_use]
    pub fn decode(module: &Module) -> Self {
        let functions = module.functions.iter().map(|f| function(module, f)).collect();
        Self { functions }
    }
}

fn function(module: &Module, function: &module::Function) -> Function {
    let index = function.code.iter().enumerate().map(|(at, inst)| (inst.id, at as u32));
    let targets: HashMap<InstId, u32> = index.collect();
    let mut ops: Vec<Op> = Vec::with_capacity(function.code.len() + 1);
    let mut insts: Vec<InstId> = function.code.iter().map(|inst| inst.id).collect();
    for inst in &function.code {
        ops.push(Decoder { module, targets: &targets }.op(inst).unwrap_or_else(Op::Invalid));
    }
    let ends = matches!(ops.last(), Some(Op::Exit | Op::Jump { .. } | Op::Invalid(_)));
    if !ends {
        ops.push(Op::Invalid(Invalid::End));
        insts.push(insts.last().copied().unwrap_or(InstId(0)));
    }
    let slots: usize = function.code.iter().map(Inst::slots).sum();
    let stack = super::stack::used(&ops);
    Function { ops, insts, slots: slots as u32, stack }
}

struct Decoder<'a> {
    module: &'a Module,
    targets: &'a HashMap<InstId, u32>,
}

type Decoded<T> = Result<T, Invalid>;

/// A register that is read.
fn read(number: u8) -> Decoded<Register> {
    if number <= 10 { Ok(number) } else { Err(Invalid::Register(number)) }
}

/// A register that is written.
fn written(number: u8) -> Decoded<Register> {
    match number {
        0..=9 => Ok(number),
        10 => Err(Invalid::FramePointer),
        _ => Err(Invalid::Register(number)),
    }
}

/// An immediate, sign-extended.
const fn constant(imm: i32) -> u64 {
    imm as i64 as u64
}

const fn bytes(code: u8) -> Size {
    match code & 0x18 {
        size::B => Size::B,
        size::H => Size::H,
        size::DW => Size::D,
        _ => Size::W,
    }
}

/// Holds if the fields that an instruction does not use are zero, as the verifier wants them.
fn reserved(insn: Insn, zero: bool) -> Decoded<()> {
    if zero { Ok(()) } else { Err(Invalid::Reserved(insn.code)) }
}

impl Decoder<'_> {
    fn op(&self, inst: &Inst) -> Decoded<Op> {
        let insn = inst.insn;
        match insn.class() {
            class::ALU | class::ALU64 => arithmetic(insn),
            class::JMP | class::JMP32 => self.jump(inst),
            class::LD => self.load_immediate(inst),
            class::LDX => load(insn),
            class::ST => {
                let source = Source::Constant(constant(insn.imm));
                reserved(insn, insn.src() == 0)?;
                store(insn, source)
            }
            _ => match insn.code & 0xe0 {
                mode::ATOMIC => atomic(insn),
                _ => {
                    reserved(insn, insn.imm == 0)?;
                    store(insn, Source::Register(read(insn.src())?))
                }
            },
        }
    }

    fn to(&self, inst: &Inst) -> Decoded<u32> {
        match inst.target {
            Target::Jump(id) => self.targets.get(&id).copied().ok_or(Invalid::Jump),
            _ => Err(Invalid::Jump),
        }
    }

    fn jump(&self, inst: &Inst) -> Decoded<Op> {
        let insn = inst.insn;
        let wide = insn.class() == class::JMP;
        let unused = insn.dst() == 0 && insn.src() == 0;
        let cond = match insn.code & 0xf0 {
            jmp::JA if insn.code & X == 0 => {
                reserved(insn, unused)?;
                return Ok(Op::Jump { to: self.to(inst)? });
            }
            jmp::CALL if insn.code == class::JMP | jmp::CALL => return self.call(inst),
            jmp::EXIT if insn.code == class::JMP | jmp::EXIT => {
                reserved(insn, unused && insn.off == 0 && insn.imm == 0)?;
                return Ok(Op::Exit);
            }
            jmp::JCOND if insn.code == class::JMP | jmp::JCOND => {
                reserved(insn, unused && insn.imm == 0)?;
                return Ok(Op::MayGoto { to: self.to(inst)? });
            }
            jmp::JEQ => Condition::Eq,
            jmp::JNE => Condition::Ne,
            jmp::JGT => Condition::Gt,
            jmp::JGE => Condition::Ge,
            jmp::JLT => Condition::Lt,
            jmp::JLE => Condition::Le,
            jmp::JSET => Condition::Set,
            jmp::JSGT => Condition::SignedGt,
            jmp::JSGE => Condition::SignedGe,
            jmp::JSLT => Condition::SignedLt,
            jmp::JSLE => Condition::SignedLe,
            _ => return Err(Invalid::Code(insn.code)),
        };
        let right = operand(insn)?;
        Ok(Op::Branch { wide, cond, left: read(insn.dst())?, right, to: self.to(inst)? })
    }

    fn call(&self, inst: &Inst) -> Decoded<Op> {
        let insn = inst.insn;
        reserved(insn, insn.dst() == 0)?;
        match (inst.target, insn.src()) {
            (Target::Call(id), pseudo::CALL) => {
                let known = (id.0 as usize) < self.module.functions.len();
                if known { Ok(Op::Call(id)) } else { Err(Invalid::Function) }
            }
            (Target::Extern(id), pseudo::KFUNC_CALL) => {
                let known = (id.0 as usize) < self.module.externs.len();
                if known { Ok(Op::Kfunc(id)) } else { Err(Invalid::Function) }
            }
            (_, pseudo::HELPER_CALL) => {
                reserved(insn, insn.off == 0)?;
                if insn.imm == TAIL_CALL {
                    Ok(Op::TailCall)
                } else {
                    Ok(Op::Helper(insn.imm as u32))
                }
            }
            _ => Err(Invalid::Function),
        }
    }

    fn load_immediate(&self, inst: &Inst) -> Decoded<Op> {
        let insn = inst.insn;
        if matches!(insn.code & 0xe0, mode::ABS | mode::IND) {
            return Err(Invalid::LegacyLoad);
        }
        let Some(upper) = inst.wide_imm.filter(|_| insn.is_wide()) else {
            return Err(Invalid::Code(insn.code));
        };
        let dst = written(insn.dst())?;
        reserved(insn, insn.off == 0)?;
        let value = match inst.target {
            Target::None => {
                reserved(insn, insn.src() == 0)?;
                u64::from(insn.imm as u32) | (u64::from(upper as u32) << 32)
            }
            Target::Map(map) if (map.0 as usize) < self.module.maps.len() => {
                address::map_handle(map)
            }
            Target::MapValue { map, offset } if (map.0 as usize) < self.module.maps.len() => {
                address::map_value(map, u64::from(offset))
            }
            Target::Map(_) | Target::MapValue { .. } => return Err(Invalid::Map),
            Target::FunctionAddress(id) if (id.0 as usize) < self.module.functions.len() => {
                address::function_address(id)
            }
            Target::Extern(id) => self.symbol(id)?,
            _ => return Err(Invalid::Function),
        };
        Ok(Op::LoadImm { dst, value })
    }

    /// The address of something the loader provides.
    fn symbol(&self, id: module::ExternId) -> Decoded<u64> {
        let symbol = self.module.externs.get(id.0 as usize).ok_or(Invalid::KernelVariable)?;
        match symbol.kind {
            ExternKind::Kconfig { offset, .. } => {
                let maps = &self.module.maps;
                let kconfig = |m: &module::Map| m.section == Some(DataSection::Kconfig);
                let map = maps.iter().position(kconfig).ok_or(Invalid::Map)?;
                Ok(address::map_value(MapId(map as u32), u64::from(offset)))
            }
            // Programs ask whether there is such a function before they call it.
            ExternKind::Kfunc => Ok(u64::from(environment::kfunc(&symbol.name).is_some())),
            _ if symbol.resolution == Resolution::Absent => Ok(0),
            _ => Err(Invalid::KernelVariable),
        }
    }
}

/// The second operand of arithmetic and jumps.
fn operand(insn: Insn) -> Decoded<Source> {
    if insn.code & X == 0 {
        reserved(insn, insn.src() == 0)?;
        Ok(Source::Constant(constant(insn.imm)))
    } else {
        reserved(insn, insn.imm == 0)?;
        Ok(Source::Register(read(insn.src())?))
    }
}

fn arithmetic(insn: Insn) -> Decoded<Op> {
    let wide = insn.class() == class::ALU64;
    let dst = written(insn.dst())?;
    let signed = insn.off == 1;
    let op = match insn.code & 0xf0 {
        alu::NEG => {
            let unused = insn.code & X == 0 && insn.src() == 0 && insn.off == 0 && insn.imm == 0;
            reserved(insn, unused)?;
            return Ok(Op::Neg { wide, dst });
        }
        alu::MOV => return moves(insn, wide, dst),
        alu::END => return endian(insn, wide, dst),
        alu::DIV if signed => AluOp::SignedDiv,
        alu::MOD if signed => AluOp::SignedMod,
        alu::DIV => AluOp::Div,
        alu::MOD => AluOp::Mod,
        alu::ADD => AluOp::Add,
        alu::SUB => AluOp::Sub,
        alu::MUL => AluOp::Mul,
        alu::OR => AluOp::Or,
        alu::AND => AluOp::And,
        alu::XOR => AluOp::Xor,
        alu::LSH => AluOp::Lsh,
        alu::RSH => AluOp::Rsh,
        alu::ARSH => AluOp::Arsh,
        _ => return Err(Invalid::Code(insn.code)),
    };
    let division = matches!(op, AluOp::SignedDiv | AluOp::SignedMod);
    reserved(insn, insn.off == 0 || division)?;
    Ok(Op::Alu { wide, op, dst, source: operand(insn)? })
}

fn moves(insn: Insn, wide: bool, dst: Register) -> Decoded<Op> {
    let sign_bits = match insn.off {
        0 => 0,
        8 | 16 if insn.code & X != 0 => insn.off as u8,
        32 if insn.code & X != 0 && wide => 32,
        _ => return Err(Invalid::Reserved(insn.code)),
    };
    Ok(Op::Move { wide, dst, source: operand(insn)?, sign_bits })
}

fn endian(insn: Insn, wide: bool, dst: Register) -> Decoded<Op> {
    reserved(insn, insn.src() == 0 && insn.off == 0)?;
    let width = match insn.imm {
        16 => SwapWidth::W16,
        32 => SwapWidth::W32,
        64 => SwapWidth::W64,
        _ => return Err(Invalid::Reserved(insn.code)),
    };
    let order = match (wide, insn.code & X != 0) {
        (false, false) => Order::ToLittle,
        (false, true) => Order::ToBig,
        (true, false) => Order::Swap,
        (true, true) => return Err(Invalid::Code(insn.code)),
    };
    Ok(Op::Endian { order, width, dst })
}

fn load(insn: Insn) -> Decoded<Op> {
    reserved(insn, insn.imm == 0)?;
    let size = bytes(insn.code);
    let signed = match insn.code & 0xe0 {
        mode::MEM => false,
        mode::MEMSX if size != Size::D => true,
        _ => return Err(Invalid::Code(insn.code)),
    };
    let (dst, base) = (written(insn.dst())?, read(insn.src())?);
    Ok(Op::Load { dst, base, off: insn.off, size, signed })
}

fn store(insn: Insn, source: Source) -> Decoded<Op> {
    if insn.code & 0xe0 != mode::MEM {
        return Err(Invalid::Code(insn.code));
    }
    Ok(Op::Store { base: read(insn.dst())?, off: insn.off, size: bytes(insn.code), source })
}

fn atomic(insn: Insn) -> Decoded<Op> {
    let size = bytes(insn.code);
    let (off, ordered) = (insn.off, matches!(size, Size::W | Size::D));
    match insn.imm {
        atomic::LOAD_ACQUIRE => {
            let (dst, base) = (written(insn.dst())?, read(insn.src())?);
            return Ok(Op::LoadAcquire { dst, base, off, size });
        }
        atomic::STORE_RELEASE => {
            let (base, src) = (read(insn.dst())?, read(insn.src())?);
            return Ok(Op::StoreRelease { base, off, size, src });
        }
        _ if !ordered => return Err(Invalid::Code(insn.code)),
        _ => {}
    }
    let fetch = insn.imm & atomic::FETCH != 0;
    let op = match insn.imm & !atomic::FETCH {
        0x00 => AtomicOp::Add { fetch },
        0x40 => AtomicOp::Or { fetch },
        0x50 => AtomicOp::And { fetch },
        0xa0 => AtomicOp::Xor { fetch },
        _ if insn.imm == atomic::XCHG => AtomicOp::Exchange,
        _ if insn.imm == atomic::CMPXCHG => AtomicOp::CompareExchange,
        _ => return Err(Invalid::Reserved(insn.code)),
    };
    // The register receives the old value, except that of a compare and exchange.
    let returns = fetch && op != AtomicOp::CompareExchange;
    let src = if returns { written(insn.src())? } else { read(insn.src())? };
    Ok(Op::Atomic { op, size, base: read(insn.dst())?, off, src })
}
