//! `hoist unload`: take off what hoist loaded, or, by name, what somebody else did.

use std::os::fd::AsFd;
use std::sync::Arc;

use hoist_offload::bpf::kernel::{Expect, Kernel, ObjectKind};
use hoist_offload::device::{AttachedProgram, Device, Owner, Slot};
use hoist_offload::{Error, Gap, privilege};

use super::context::Context;
use super::failure::{Exit, Failure};
use super::render::device::owner_words;
use super::schema::UnloadDocument;
use super::{adjusted, args};
use super::{kept, status};

/// Detaches. Every interface must have something to detach before any is touched.
///
/// # Errors
/// Nothing to detach, or the kernel's refusal.
pub(super) fn run(cx: &mut Context<'_>, args: &args::Unload) -> Result<(), Failure> {
    let kernel = cx.kernel("unload")?;
    adjusted::repair(cx, kernel.as_ref());
    let mut devices = cx.devices(&args.interfaces)?;
    kept::mark(&mut devices, kernel.as_ref());
    let mut chosen = Vec::new();
    for device in &devices {
        let programs = choose(device, args)?;
        chosen.extend(programs.into_iter().map(|p| (device, p)));
    }
    privilege::require("detach a program", &super::context::LOAD)?;
    let mut detached = Vec::with_capacity(chosen.len());
    for (device, program) in chosen {
        // Before it is gone, for its last counters.
        let row = status::row(device, program, Some(&kernel))?;
        detach(cx, &kernel, device, program)?;
        if !cx.shell.json() {
            let name = program.name.as_deref().unwrap_or("?");
            let slot = program.slot.name();
            let line = format!("{}: {name} (id {}) is off {slot}", device.name, program.id);
            cx.shell.print(line)?;
        }
        if program.owner == Owner::Libxdp {
            cx.shell.say("note: libxdp's pins stay; 'xdp-loader clean' removes them");
        }
        detached.push(row);
    }
    if cx.shell.json() {
        cx.shell.document(&UnloadDocument { schema: "hoist.unload.v1", detached })?;
    }
    Ok(())
}

/// The programs of one interface that the arguments mean.
fn choose<'d>(
    device: &'d Device,
    args: &args::Unload,
) -> Result<Vec<&'d AttachedProgram>, Failure> {
    let ours = |p: &&AttachedProgram| matches!(p.owner, Owner::Hoist { .. });
    let chosen: Vec<&AttachedProgram> = match (args.force, args.id) {
        (Some(id), _) => device.attached.iter().filter(|p| p.id == id).collect(),
        (None, Some(id)) => device.attached.iter().filter(ours).filter(|p| p.id == id).collect(),
        (None, None) => device.attached.iter().filter(ours).collect(),
    };
    if !chosen.is_empty() {
        return Ok(chosen);
    }
    let asked = args.force.or(args.id);
    let held = match asked {
        Some(id) => device.attached.iter().find(|p| p.id == id),
        None => device.attached.first(),
    };
    Err(match (held, asked) {
        (Some(program), _) => refuse(device, program),
        (None, Some(id)) => Failure::input(
            format!("{}: no program with id {id} is attached", device.name),
            format!("'hoist status {}' shows what is", device.name),
        ),
        (None, None) => Failure::input(
            format!("{}: nothing is attached", device.name),
            "'hoist status' shows where something is",
        ),
    })
}

/// Another's program is not taken off without being told to.
fn refuse(device: &Device, program: &AttachedProgram) -> Failure {
    let gap = Gap::new(
        "not-loaded-by-hoist",
        format!(
            "{}: {} (id {}) on {} was not loaded by hoist: {}",
            device.name,
            program.name.as_deref().unwrap_or("?"),
            program.id,
            program.slot.name(),
            owner_words(&program.owner)
        ),
    )
    .remedy(format!("hoist unload {} --force {}", device.name, program.id));
    Failure::Words(gap.into(), Exit::Refused)
}

fn detach(
    cx: &mut Context<'_>,
    kernel: &Arc<dyn Kernel>,
    device: &Device,
    program: &AttachedProgram,
) -> Result<(), Error> {
    match &program.owner {
        Owner::Hoist { pin } => {
            let attachment = kept::adopt(&cx.registry, kernel, device, pin)?;
            adjusted::before_detach(cx, &*attachment);
            attachment.detach()
        }
        Owner::Link { id } => {
            if let Some(link) = kernel.open(ObjectKind::Link, *id)? {
                kernel.link_detach(link.as_fd())?;
            }
            Ok(())
        }
        Owner::Netlink if matches!(program.slot, Slot::ClsactIngress | Slot::HwClsact) => {
            let there = kernel.filters(device.ifindex)?;
            let filter = there.iter().find(|filter| filter.program_id == Some(program.id));
            if let Some(filter) = filter {
                kernel.remove_filter(device.ifindex, filter.key, program.id)?;
            }
            Ok(())
        }
        Owner::Netlink | Owner::Libxdp | Owner::Unknown { .. } => {
            let Some(mode) = program.slot.mode() else {
                return Err(Error::Input {
                    what: format!("{} is not hoist's to empty", program.slot.name()),
                    hint: Some("use tc filter del, or bpftool net detach".to_owned()),
                });
            };
            let Some(held) = kernel.open(ObjectKind::Program, program.id)? else { return Ok(()) };
            kernel.netlink_xdp(device.ifindex, None, Some(mode), Expect::Program(held.as_fd()))?;
            Ok(())
        }
    }
}
