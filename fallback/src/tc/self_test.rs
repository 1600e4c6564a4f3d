//! Whether this kernel does to socket buffers what the runtime relies on, found out by running small
//! programs on test frames before the first program is trusted to it.
//!
//! What `bpf_skb_vlan_push`, `bpf_skb_vlan_pop` and `bpf_skb_adjust_room` do to a buffer's headers
//! and protocol has changed between kernels, and no version number tells. So programs that take tags
//! and headers off and put them on are translated like any other, and run on frames with and without
//! a tag. Which form of the runtime the kernel needs is asked before. A test run shows bytes; protocol
//! and tag are copied by an observer around the program to places that it shows as well.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::sync::OnceLock;

use hoist_bpf::kernel::loader::{self, LoadSpec};
use hoist_bpf::kernel::{Kernel, KernelError, TestRunSpec};
use hoist_bpf::module::{Function, Linkage, Module, ProgramId, Target};
use hoist_bpf::opcode::{class, jmp};
use hoist_bpf::passes::asm;
use hoist_bpf::{Insn, Selector, programs};
use hoist_offload::{Gap, Verdict};

use super::translate::{self, Options, TagPush};
use super::{PROG_TYPE_SCHED_CLS, dry_run};

mod frames;
mod memory;
mod network;

pub(super) use network::tag_push;

use frames::{CASES, Case, Seen};

/// Offsets into `struct __sk_buff`.
mod skb {
    pub(super) const MARK: i16 = 8;
    pub(super) const PROTOCOL: i16 = 16;
    pub(super) const VLAN_PRESENT: i16 = 20;
    pub(super) const VLAN_TCI: i16 = 24;
    pub(super) const VLAN_PROTO: i16 = 28;
    pub(super) const PRIORITY: i16 = 32;
    pub(super) const BYTES: usize = 192;
}

/// What the main program returns for `XDP_PASS`.
const TC_ACT_UNSPEC: u32 = u32::MAX;
const SKB_VLAN_PUSH: i32 = 18;
const EPERM: i32 = 1;
const EACCES: i32 = 13;
const EOPNOTSUPP: i32 = 95;
const ENOTSUPP: i32 = 524;

/// What came of asking.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    /// Everything is as it should be, with this form of the runtime.
    Passed(TagPush),
    /// The kernel cannot be asked this way; loading and running will tell what they can.
    Open,
}

/// Finds out once in a boot that passes, and with which form of the runtime: it takes several
/// milliseconds.
///
/// # Errors
/// What the kernel does otherwise than the runtime needs it.
pub(super) fn passed(kernel: &dyn Kernel) -> Result<TagPush, Gap> {
    static PASSED: OnceLock<TagPush> = OnceLock::new();
    if let Some(&known) = PASSED.get() {
        return Ok(known);
    }
    if let Some(known) = memory::passed() {
        return Ok(*PASSED.get_or_init(|| known));
    }
    let Answer::Passed(tag_push) = ask(kernel)? else { return Ok(TagPush::default()) };
    if PASSED.set(tag_push).is_ok() {
        memory::remember(tag_push);
    }
    Ok(tag_push)
}

fn ask(kernel: &dyn Kernel) -> Result<Answer, Gap> {
    let Some(tag_push) = tag_push(kernel) else { return Ok(Answer::Open) };
    for program in frames::PROGRAMS {
        let observed = observed(program, tag_push)?;
        let spec = LoadSpec {
            module: &observed,
            program: ProgramId(0),
            kind: PROG_TYPE_SCHED_CLS,
            attach_type: 0,
            binding: None,
            pin_root: None,
            contents: &BTreeMap::new(),
        };
        let loaded = match loader::load(kernel, &spec) {
            Ok(loaded) => loaded,
            Err(loader::LoadError::Program { error, .. }) if !closed(&error) => {
                return Err(failed(program, &format!("it does not load: {error}")));
            }
            Err(_) => return Ok(Answer::Open),
        };
        for case in CASES.iter().filter(|case| case.program == program) {
            match run(kernel, loaded.program.as_fd(), case) {
                Ok(Some(seen)) if seen == (case.expected)() => {}
                Ok(Some(seen)) => return Err(differs(case, &seen)),
                Ok(None) => return Ok(Answer::Open),
                Err(error) if closed(&error) => return Ok(Answer::Open),
                Err(error) => return Err(failed(case.name, &error.to_string())),
            }
        }
    }
    Ok(Answer::Passed(tag_push))
}

/// Whether the kernel would not be asked at all.
const fn closed(error: &KernelError) -> bool {
    matches!(error.errno, EPERM | EACCES | EOPNOTSUPP | ENOTSUPP)
}

fn run(
    kernel: &dyn Kernel,
    program: std::os::fd::BorrowedFd<'_>,
    case: &Case,
) -> Result<Option<Seen>, KernelError> {
    let mut context = vec![0; skb::BYTES];
    context[skb::MARK as usize] = u8::from(case.tagged);
    let frame = (case.frame)();
    let spec = TestRunSpec {
        data: &frame,
        context: &context,
        repeat: 1,
        context_out: skb::BYTES,
        ..TestRunSpec::default()
    };
    let run = kernel.test_run(program, &spec)?;
    let word = |at: i16| {
        let bytes = run.context.get(at as usize..at as usize + 4)?;
        Some(u32::from_ne_bytes(bytes.try_into().ok()?))
    };
    let (Some(protocol), Some(tag)) = (word(skb::MARK), word(skb::PRIORITY)) else {
        return Ok(None);
    };
    // The program's verdict, and whether the epilogue could carry it out.
    if (dry_run::verdict(&run), run.verdict) != (Verdict::Pass, TC_ACT_UNSPEC) {
        return Ok(Some(Seen { frame: Vec::new(), protocol: 0, tag: 0 }));
    }
    let protocol = u16::from_be(protocol as u16);
    let tag =
        if tag == 0 { 0 } else { tag & 0xffff | u32::from(u16::from_be((tag >> 16) as u16)) << 16 };
    Ok(Some(Seen { frame: run.data.clone(), protocol, tag }))
}

fn differs(case: &Case, seen: &Seen) -> Gap {
    let expected = (case.expected)();
    let what = if seen.frame.is_empty() {
        "the runtime gave the frame up".to_owned()
    } else if seen.frame != expected.frame {
        let at = seen.frame.iter().zip(&expected.frame).take_while(|(a, b)| a == b).count();
        format!(
            "{} bytes instead of {}, different from byte {at} on",
            seen.frame.len(),
            expected.frame.len()
        )
    } else {
        format!(
            "protocol {:#06x} and tag {:#010x} instead of {:#06x} and {:#010x}",
            seen.protocol, seen.tag, expected.protocol, expected.tag
        )
    };
    failed(case.name, &what)
}

fn failed(what: &str, why: &str) -> Gap {
    let message =
        format!("this kernel's TC helpers do not do what the runtime needs: {what}: {why}");
    Gap::new("tc-self-test", message).remedy("use --engine native,generic, and report the kernel")
}

/// A program of the library at TC, within an observer that shows what became of the buffer.
fn observed(name: &str, tag_push: TagPush) -> Result<Module, Gap> {
    let absent = || failed(name, "this build lacks the program");
    let prebuilt = programs::get(name).ok_or_else(absent)?;
    let module = Module::parse(name, prebuilt.object).map_err(|e| failed(name, &e.to_string()))?;
    let program = module.select(&Selector::default()).map_err(|e| failed(name, &e.to_string()))?;
    let options = Options { tag_push, ..Options::default() };
    let translated = translate::translate(&module, program, &options).map_err(|gaps| {
        let why: Vec<String> = gaps.iter().map(|gap| gap.message.clone()).collect();
        failed(name, &why.join("; "))
    })?;
    let mut module = translated.module;
    // The observer has no debug information, and the kernel wants all or none.
    module.btf = Default::default();
    for function in &mut module.functions {
        function.btf_type_id = None;
        for inst in &mut function.code {
            inst.line = None;
        }
    }
    let inner = module.program(translated.program).function;
    module.programs.swap(0, translated.program.0 as usize);
    module.programs.truncate(1);
    module.functions[inner.0 as usize].linkage = Linkage::Static;
    module.programs[0].function = module.add_function(observer(inner));
    Ok(module)
}

/// Where `mark` is set, gives the buffer the tag that the stack would have taken out of the frame.
/// Then runs the program, and copies the protocol to `mark` and the tag to `priority`.
fn observer(inner: hoist_bpf::module::FunctionId) -> Function {
    let mut f = Function::empty("observer", Linkage::Static);
    let plain = |insn: Insn| (insn, Target::None);
    let shift = Insn::new(class::ALU64 | 0x60, 4, 0, 0, 16);
    let or = Insn::new(class::ALU64 | 0x48, 4, 3, 0, 0);
    let run = f.new_inst(asm::mov(1, 6), Target::None);
    let out = f.new_inst(asm::exit(), Target::None);
    let before = [
        plain(asm::mov(6, 1)),
        plain(asm::load32(2, 6, skb::MARK)),
        (asm::jump_imm(jmp::JEQ, 2, 0), Target::Jump(run.id)),
        plain(asm::mov_imm(2, i32::from(frames::VLAN.to_be()))),
        plain(asm::mov_imm(3, i32::from(frames::TAG))),
        plain(asm::helper(SKB_VLAN_PUSH)),
    ];
    let after = [
        (asm::call(), Target::Call(inner)),
        plain(asm::load32(2, 6, skb::PROTOCOL)),
        plain(asm::store32(6, skb::MARK, 2)),
        plain(asm::mov_imm(4, 0)),
        plain(asm::store32(6, skb::PRIORITY, 4)),
        plain(asm::load32(2, 6, skb::VLAN_PRESENT)),
        (asm::jump_imm(jmp::JEQ, 2, 0), Target::Jump(out.id)),
        plain(asm::load32(3, 6, skb::VLAN_TCI)),
        plain(asm::load32(4, 6, skb::VLAN_PROTO)),
        plain(shift),
        plain(or),
        plain(asm::store32(6, skb::PRIORITY, 4)),
    ];
    for (insn, target) in before {
        let inst = f.new_inst(insn, target);
        f.append([inst]);
    }
    f.append([run]);
    for (insn, target) in after {
        let inst = f.new_inst(insn, target);
        f.append([inst]);
    }
    f.append([out]);
    f
}

#[cfg(test)]
mod tests;
