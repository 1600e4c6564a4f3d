//! A program laid out flat for `BPF_PROG_LOAD`: the entry function and every subprogram it
//! reaches, in the order libbpf appends them.

use std::collections::HashMap;

use crate::insn::{Insn, JumpKind};
use crate::module::{
    DataSection, ExternKind, FunctionId, Inst, InstId, MapId, Module, ProgramId, Resolution, Target,
};

/// `BPF_PSEUDO_BTF_ID`: a wide load of a kernel variable's address.
const PSEUDO_BTF_ID: u8 = 3;
/// Helper number of the call that stands for an absent weak kfunc, plus the extern's index; the
/// verifier refuses it if it can be reached (`POISON_CALL_KFUNC_BASE` of libbpf).
const ABSENT_KFUNC: i32 = 2_002_000_000;
/// `BPF_JMP | BPF_CALL`.
const CALL: u8 = 0x85;

/// A flat program. What the kernel alone can number is still missing and listed in
/// [`Image::references`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// Instruction slots; a wide instruction takes two.
    pub insns: Vec<Insn>,
    /// What is still to be patched, by rising [`Reference::insn`].
    pub references: Vec<Reference>,
    /// `struct bpf_func_info` records of 8 bytes; empty unless every function has one.
    pub func_info: Vec<u8>,
    /// `struct bpf_line_info` records of 16 bytes; empty unless every function has one.
    pub line_info: Vec<u8>,
    /// BTF ready for `BPF_BTF_LOAD`; empty when the object has none.
    pub btf: Vec<u8>,
    /// The functions of the program, the entry first, each with the slot it starts at.
    pub functions: Vec<(FunctionId, usize)>,
}

/// A wide load or call that needs a descriptor or BTF id from the running kernel.
///
/// The source register already says what kind it is. For [`Target::Map`] and [`Target::MapValue`]
/// the map's descriptor goes into `imm` of the slot; the offset into a map's value is already in the
/// slot after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Slot in [`Image::insns`].
    pub insn: usize,
    /// What the slot refers to: a map, a map's value, or an extern that was not resolved.
    pub to: Target,
}

/// Why a module cannot be laid out. Parsing and passes keep modules consistent; a damaged one can
/// only come from a mistake in a pass or from a hand-made module.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// The program id is out of range.
    #[error("the module has no program {0}")]
    NoSuchProgram(u32),
    /// An instruction refers to something the module does not hold.
    #[error("function '{function}': an instruction refers to a missing {what}")]
    Dangling {
        /// Function name.
        function: String,
        /// Kind of thing.
        what: &'static str,
    },
    /// Code grew so far that a jump no longer reaches.
    #[error(
        "function '{function}': a jump over {distance} slots does not fit 16 bits; \
         compile with -mcpu=v4 or split the function"
    )]
    JumpTooFar {
        /// Function name.
        function: String,
        /// Slots between the jump and its target.
        distance: i64,
    },
    /// More slots than a call can reach.
    #[error("the program has more instructions than the kernel takes")]
    TooLong,
    /// The object's BTF is damaged.
    #[error("the module's BTF: {0}")]
    Btf(#[from] crate::btf::BtfError),
}

impl Image {
    /// Lays a program out.
    ///
    /// # Errors
    /// References that lead nowhere, or jumps that no longer reach.
    pub fn build(module: &Module, program: ProgramId) -> Result<Self, ImageError> {
        let entry = module
            .programs
            .get(program.0 as usize)
            .ok_or(ImageError::NoSuchProgram(program.0))?
            .function;
        let mut image = Self { functions: order(module, entry)?, ..Self::default() };
        let starts: HashMap<FunctionId, usize> = image.functions.iter().copied().collect();
        for &(id, start) in &image.functions.clone() {
            Writer { module, starts: &starts, image: &mut image }.function(id, start)?;
        }
        image.debug_info(module);
        image.btf = crate::btf::loadable(&module.btf)?;
        Ok(image)
    }

    fn debug_info(&mut self, module: &Module) {
        if module.btf.is_empty() {
            return;
        }
        let mut func_info = Vec::with_capacity(8 * self.functions.len());
        let mut line_info = Vec::new();
        let (mut all_typed, mut all_lined) = (true, true);
        for &(id, start) in &self.functions {
            let function = module.function(id);
            match function.btf_type_id {
                Some(type_id) => push(&mut func_info, [start as u32, type_id]),
                None => all_typed = false,
            }
            let (mut slot, mut last) = (start, None);
            for inst in &function.code {
                let line = inst.line.and_then(|index| module.lines.get(index as usize));
                let strings = line.and_then(|l| Some((l, l.strings?)));
                if let Some((line, (file, text))) = strings.filter(|_| inst.line != last) {
                    let packed = line.line << 10 | (line.column & 0x3ff);
                    push(&mut line_info, [slot as u32, file, text, packed]);
                    last = inst.line;
                }
                // The kernel wants a line for the first instruction of every function.
                all_lined &= last.is_some();
                slot += inst.slots();
            }
        }
        if all_typed {
            self.func_info = func_info;
        }
        if all_typed && all_lined {
            self.line_info = line_info;
        }
    }
}

fn push<const N: usize>(out: &mut Vec<u8>, words: [u32; N]) {
    for word in words {
        out.extend(word.to_ne_bytes());
    }
}

/// Functions in the order libbpf appends them: each subprogram where it is first referred to,
/// followed at once by what it refers to itself.
fn order(module: &Module, entry: FunctionId) -> Result<Vec<(FunctionId, usize)>, ImageError> {
    let mut ordered = Vec::new();
    let mut seen = vec![false; module.functions.len()];
    let mut end = 0usize;
    // Functions being scanned, with the next instruction to look at. A stack of our own: call
    // chains in a hostile file can be long.
    let mut stack: Vec<(FunctionId, usize)> = Vec::new();
    let mut next = Some(entry);
    loop {
        if let Some(id) = next.take() {
            let function = module.functions.get(id.0 as usize);
            let code = &function.ok_or_else(|| dangling(module, &stack, "function"))?.code;
            if !std::mem::replace(&mut seen[id.0 as usize], true) {
                ordered.push((id, end));
                end += code.iter().map(Inst::slots).sum::<usize>();
                stack.push((id, 0));
            }
        }
        let Some((id, at)) = stack.last_mut() else { break };
        match module.function(*id).code.get(*at) {
            None => {
                stack.pop();
            }
            Some(inst) => {
                *at += 1;
                next = match inst.target {
                    Target::Call(callee) | Target::FunctionAddress(callee) => Some(callee),
                    _ => None,
                };
            }
        }
    }
    if i32::try_from(end).is_err() { Err(ImageError::TooLong) } else { Ok(ordered) }
}

fn dangling(module: &Module, stack: &[(FunctionId, usize)], what: &'static str) -> ImageError {
    let function =
        stack.last().map_or_else(String::new, |(id, _)| module.function(*id).name.clone());
    ImageError::Dangling { function, what }
}

struct Writer<'a> {
    module: &'a Module,
    starts: &'a HashMap<FunctionId, usize>,
    image: &'a mut Image,
}

impl Writer<'_> {
    fn function(&mut self, id: FunctionId, start: usize) -> Result<(), ImageError> {
        let function = self.module.function(id);
        let error = |what| ImageError::Dangling { function: function.name.clone(), what };
        let mut places: HashMap<InstId, usize> = HashMap::with_capacity(function.code.len());
        let mut slot = start;
        for inst in &function.code {
            places.insert(inst.id, slot);
            slot += inst.slots();
        }
        for inst in &function.code {
            let slot = self.image.insns.len();
            let mut insn = inst.insn;
            let mut second = inst.wide_imm;
            let distance = |to: usize| to as i64 - slot as i64 - 1;
            match inst.target {
                Target::None => {}
                Target::Jump(to) => {
                    let to = *places.get(&to).ok_or_else(|| error("jump target"))?;
                    let far = || ImageError::JumpTooFar {
                        function: function.name.clone(),
                        distance: distance(to),
                    };
                    match insn.jump_kind() {
                        Some(JumpKind::Offset) => {
                            insn.off = i16::try_from(distance(to)).map_err(|_| far())?;
                        }
                        Some(JumpKind::Immediate) => {
                            insn.imm = i32::try_from(distance(to)).map_err(|_| far())?;
                        }
                        None => return Err(error("jump")),
                    }
                }
                Target::Call(callee) | Target::FunctionAddress(callee) => {
                    let to = *self.starts.get(&callee).ok_or_else(|| error("function"))?;
                    // `order` keeps all places within i32.
                    insn.imm = distance(to) as i32;
                }
                Target::Map(map) => {
                    self.map(map).ok_or_else(|| error("map"))?;
                    insn.imm = 0;
                    self.refer(slot, inst.target);
                }
                Target::MapValue { map, offset } => {
                    self.map(map).ok_or_else(|| error("map"))?;
                    (insn.imm, second) = (0, Some(offset as i32));
                    self.refer(slot, inst.target);
                }
                Target::Extern(_) => {
                    self.external(inst, &mut insn, &mut second).ok_or_else(|| error("extern"))?;
                }
            }
            self.image.insns.push(insn);
            if let Some(imm) = second {
                self.image.insns.push(Insn { imm, ..Insn::default() });
            }
        }
        Ok(())
    }

    fn map(&self, id: MapId) -> Option<()> {
        self.module.maps.get(id.0 as usize).map(|_| ())
    }

    fn refer(&mut self, insn: usize, to: Target) {
        self.image.references.push(Reference { insn, to });
    }

    fn external(&mut self, inst: &Inst, insn: &mut Insn, second: &mut Option<i32>) -> Option<()> {
        let Target::Extern(id) = inst.target else { return None };
        let external = self.module.externs.get(id.0 as usize)?;
        let slot = self.image.insns.len();
        let call = insn.is_call();
        if let ExternKind::Kconfig { offset, .. } = external.kind {
            let kconfig = |m: &crate::module::Map| m.section == Some(DataSection::Kconfig);
            let map = MapId(self.module.maps.iter().position(kconfig)? as u32);
            *insn = Insn::new(insn.code, insn.dst(), 2, insn.off, 0);
            *second = Some(offset as i32);
            self.refer(slot, Target::MapValue { map, offset });
            return Some(());
        }
        match external.resolution {
            Resolution::KernelBtf(id) if call => (insn.imm, insn.off) = (id as i32, 0),
            Resolution::KernelBtf(id) => {
                *insn = Insn::new(insn.code, insn.dst(), PSEUDO_BTF_ID, insn.off, id as i32);
                *second = Some(0);
            }
            Resolution::Absent if call => {
                *insn = Insn::new(CALL, 0, 0, 0, ABSENT_KFUNC.wrapping_add(id.0 as i32));
            }
            Resolution::Absent | Resolution::Address(_) | Resolution::Value => {
                let address = match external.resolution {
                    Resolution::Address(address) => address,
                    _ => 0,
                };
                (insn.imm, *second) = (address as i32, Some((address >> 32) as i32));
            }
            Resolution::Pending | Resolution::Unknown => self.refer(slot, inst.target),
        }
        Some(())
    }
}
