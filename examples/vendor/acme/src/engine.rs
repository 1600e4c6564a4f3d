//! ACME's engine: a program is judged by the card's profile, made ready for the firmware, loaded, and
//! attached to the driver's native hook.

use std::sync::Arc;

use hoist_offload::bpf::insn::Insn;
use hoist_offload::bpf::kernel::Kernel;
use hoist_offload::bpf::module::{InstId, Module, ProgramId, Target};
use hoist_offload::bpf::opcode::jmp;
use hoist_offload::bpf::passes::asm;
use hoist_offload::device::Slot;
use hoist_offload::kernel_program::Refuser;
use hoist_offload::profile::Wishes;
use hoist_offload::xdp::XdpEngine;
use hoist_offload::{
    Attachment, Capabilities, Device, Driver, Engine, EngineKind, Error, Gap, Hook, Host, Job,
    Prepared,
};

use crate::{DRIVER, evidence};

/// Who provides the engine.
pub(crate) const PROVIDER: &str = "acme";

const XDP_ABORTED: i32 = 0;
const XDP_DROP: i32 = 1;

/// The engine.
#[derive(Clone, Copy, Debug)]
pub struct AcmeEngine;

/// See the module.
pub static ENGINE: AcmeEngine = AcmeEngine;

/// What loads, attaches, replaces and keeps a program that the kernel's native hook runs.
const NATIVE: XdpEngine = XdpEngine::NATIVE;

impl Engine for AcmeEngine {
    fn kind(&self) -> EngineKind {
        EngineKind::Native
    }

    fn provider(&self) -> &str {
        PROVIDER
    }

    fn hook(&self) -> Hook {
        Hook::Xdp
    }

    /// Every engine is asked about every device, those of others included.
    fn capabilities(&self, host: &dyn Host, device: &Device) -> Result<Capabilities, Error> {
        if !DRIVER.claims(device) {
            return Ok(elsewhere(device));
        }
        let native = NATIVE.capabilities(host, device)?;
        Ok(Capabilities { provider: PROVIDER.to_owned(), ..native })
    }

    /// What speaks against a program, found without a card.
    fn examine(&self, device: &Device, job: &Job) -> Vec<Gap> {
        if DRIVER.claims(device) { for_card(job).err().unwrap_or_default() } else { Vec::new() }
    }

    fn prepare(
        &self,
        kernel: &Arc<dyn Kernel>,
        device: &Device,
        job: &Job,
    ) -> Result<Box<dyn Prepared>, Error> {
        let refuser = Refuser::new(Slot::Native, device, job.program_name());
        let job = for_card(job).map_err(|gaps| refuser.refused_for(gaps))?;
        NATIVE.prepare(kernel, device, &job)
    }

    fn adopt(
        &self,
        kernel: &Arc<dyn Kernel>,
        kept: &hoist_offload::pins::Kept,
        device: &Device,
    ) -> Result<Box<dyn Attachment>, Error> {
        NATIVE.adopt(kernel, kept, device)
    }
}

fn elsewhere(device: &Device) -> Capabilities {
    use hoist_offload::capability::{Answer, Condition};
    let mut none = Capabilities::new(EngineKind::Native, PROVIDER);
    let what = format!("{} is no ACME card", device.name);
    none.conditions.push(Condition::new("not-acme", Answer::No, what, evidence("acme_probe")));
    none
}

/// The program as the firmware runs it, or everything that speaks against it.
fn for_card(job: &Job) -> Result<Job, Vec<Gap>> {
    let Some(profile) = job.card else { return Ok(job.clone()) };
    let wishes = Wishes { accept: job.accept.clone(), ..Wishes::default() };
    let judged = profile.judge(&job.module, job.program, &wishes);
    if !judged.gaps.is_empty() {
        return Err(judged.gaps);
    }
    let mut module = judged.lowered.module;
    let program = judged.lowered.program;
    drop_what_is_aborted(&mut module, program);
    Ok(Job { module: Arc::new(module), program, ..job.clone() })
}

/// The firmware has no `XDP_ABORTED`: it drops such frames without a word, as it does here.
fn drop_what_is_aborted(module: &mut Module, program: ProgramId) {
    let main = module.program(program).function;
    let main = &mut module.functions[main.0 as usize];
    let exits: Vec<InstId> = main.code.iter().filter(|i| is_exit(i.insn)).map(|i| i.id).collect();
    for exit in exits {
        let drop = main.new_inst(asm::mov_imm(0, XDP_DROP), Target::None);
        let other = main.new_inst(asm::jump_imm(jmp::JNE, 1, XDP_ABORTED), Target::Jump(exit));
        let verdict = main.new_inst(asm::mov32(1, 0), Target::None);
        main.insert_before(exit, &[verdict, other, drop]);
    }
}

fn is_exit(insn: Insn) -> bool {
    insn.code == asm::exit().code
}
