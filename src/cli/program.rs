//! What plan, run and load share: from arguments to a job, checked before anything slow.

use std::path::{Path, PathBuf};

use hoist_offload::bpf::kernel::{Capability, Kernel};
use hoist_offload::bpf::parse::Selector;
use hoist_offload::engine::Job;
use hoist_offload::plan::{Choice, Plan, Wanted, Wishes};
use hoist_offload::{EngineKind, Error, Registry, pins, privilege};

use super::args::{Attach, ProgramArgs, Settings, Which};
use super::context::{Context, FRAMES, LOAD};
use super::failure::{Exit, Failure, Words};
use super::render;
use super::schema::{Attached, ErrorDocument};
use super::{accept, adjusted};
use crate::session::contents::Contents;
use crate::session::{Counting, Order, Running};

const EACCES: i32 = 13;
const EROFS: i32 = 30;

/// The order that the arguments describe.
///
/// # Errors
/// The map file cannot be read, or a code is none that can be accepted.
pub(super) fn order(args: &ProgramArgs, object: &Path, count: Counting) -> Result<Order, Error> {
    let count = match (args.count, args.no_count) {
        (true, _) => Counting::Always,
        (_, true) => Counting::Never,
        _ => count,
    };
    accept::check(&args.accept, accept::Of::Any)?;
    Ok(Order {
        object: object.to_owned(),
        count,
        pin_root: args.pin_root.clone(),
        merged: args.merged.into(),
        accept: args.accept.iter().cloned().collect(),
        ..chosen(&args.which, &args.settings, object)?
    })
}

/// The order for a program as it is: which one, and what it finds when it starts.
///
/// # Errors
/// The map file cannot be read.
pub(super) fn chosen(which: &Which, settings: &Settings, object: &Path) -> Result<Order, Error> {
    Ok(Order {
        object: object.to_owned(),
        selector: Selector { program: which.program.clone(), section: which.section.clone() },
        set: settings.set.iter().map(|a| (a.name.clone(), a.value.clone())).collect(),
        max_entries: settings.max_entries.iter().map(|e| (e.map.clone(), e.entries)).collect(),
        contents: settings.maps.as_deref().map(Contents::read).transpose()?,
        ..Order::default()
    })
}

/// What the arguments wish of the planner.
///
/// # Errors
/// An engine was asked for that this build does not have, and no other.
pub(super) fn wishes(
    args: &ProgramArgs,
    registry: &Registry,
) -> Result<(Wishes, Vec<String>), Failure> {
    let mut wishes = Wishes {
        choice: args.engine.choice.clone(),
        accept: args.accept.clone(),
        replace: args.replace,
        adjust_device: args.adjust_device,
    };
    let Choice::Listed(wanted) = &mut wishes.choice else { return Ok((wishes, Vec::new())) };
    let mut here: Vec<&str> = registry.engines().map(|e| e.kind().name()).collect();
    here.dedup();
    let provided = |wanted: &Wanted| registry.engines().any(|engine| wanted.means(engine));
    wanted.retain(provided);
    let absent: Vec<String> = args
        .engine
        .words
        .iter()
        .filter(|w| w.parse().is_ok_and(|wanted| !provided(&wanted)))
        .map(|w| format!("engine '{w}' is not in this build, which has {}", here.join(", ")))
        .collect();
    if wanted.is_empty() {
        return Err(Failure::Error(Error::Input {
            what: absent.join("; "),
            hint: Some("name one of these, or leave --engine away".to_owned()),
        }));
    }
    Ok((wishes, absent))
}

/// Reads and resolves the program, the cheap checks first.
///
/// # Errors
/// What is wrong with the file, the program, or its settings.
pub(super) fn job(cx: &Context<'_>, order: Order) -> Result<Job, Failure> {
    Ok(cx.session().job(order.read()?)?)
}

/// Attaches to every interface or to none, and tells the ladder of each.
///
/// # Errors
/// The first refusal, told with its ladder, or the first failure.
pub(super) fn attach(
    cx: &mut Context<'_>,
    args: &Attach,
    count: Counting,
    keep: bool,
) -> Result<Vec<Running>, Failure> {
    let Attach { interfaces, object, program } = args;
    let kernel = cx.kernel("running a program")?;
    let order = order(program, object, count)?;
    let (wishes, absent) = wishes(program, &cx.registry)?;
    adjusted::repair(cx, kernel.as_ref());
    let devices = cx.devices(interfaces)?;
    let draft = order.read()?;
    let needed = needed(&wishes.choice);
    privilege::require("attach a program", needed)?;
    if program.replace.is_some() && devices.len() > 1 {
        return Err(Failure::input(
            "--replace names one program, which is on one interface",
            "replace it on one interface at a time",
        ));
    }
    for absent in absent {
        cx.shell.warn(absent);
    }
    let keep = keep.then(|| pins(kernel.as_ref())).transpose()?;
    let policy = hoist_offload::AttachPolicy { keep, ..Default::default() };
    let job = cx.session_with(needed).job(draft)?;
    if job.count_verdicts != (count != Counting::Never) && !program.no_count && !program.count {
        cx.shell.say("note: verdicts cannot be counted for this program; it runs as it is");
    }
    let mut undone = Vec::new();
    let session = cx.session_with(needed);
    let result = session.attach_all(&devices, &job, &wishes, &policy, |device, result| {
        undone.push((device.name.clone(), result));
    });
    for (name, result) in undone {
        match result {
            Ok(()) => cx.shell.say(format_args!("{name}: detached again")),
            Err(error) => cx.shell.warn(format_args!("{name}: could not be detached: {error}")),
        }
    }
    let running = result.map_err(|error| refused(cx, error))?;
    for one in &running {
        tell(cx, &one.plan);
    }
    Ok(running)
}

/// What it takes to attach a program: nothing is loaded for hoist's own engine where BPF is not
/// allowed.
fn needed(choice: &Choice) -> &'static [Capability] {
    match choice {
        Choice::Listed(wanted) if wanted.iter().all(|w| w.kind == EngineKind::User) => &FRAMES,
        _ => &LOAD,
    }
}

/// Where programs that stay are pinned.
fn pins(kernel: &dyn Kernel) -> Result<PathBuf, Error> {
    kernel.bpffs(pins::ROOT).map_err(|error| Error::Kernel {
        hint: match error.errno {
            EACCES => Some("run it as root, or let this user write to that directory".to_owned()),
            EROFS => Some(
                "a program that stays needs a bpffs: mount -t bpf bpf /sys/fs/bpf; \
                 'hoist run' needs none"
                    .to_owned(),
            ),
            _ => None,
        },
        error,
    })
}

/// Tells a plan where it is talk, not the product.
fn tell(cx: &mut Context<'_>, plan: &Plan) {
    let text = render::plan::ladder(plan, cx.shell.verbose());
    cx.shell.say(text);
}

/// Tells a refusal with its ladder; other errors are passed on.
pub(super) fn refused(cx: &mut Context<'_>, error: Error) -> Failure {
    let Error::Refused { device, program, refusals } = &error else {
        return Failure::Error(error);
    };
    let text = render::plan::refusals(program, device, refusals, cx.shell.verbose());
    cx.shell.say(text);
    let gaps = refusals.iter().flat_map(|r| &r.gaps);
    let reasons: Vec<String> = refusals
        .iter()
        .map(|refusal| {
            let codes: Vec<&str> = refusal.gaps.iter().map(|gap| gap.code.as_str()).collect();
            format!("{} {}", refusal.engine, codes.join(", "))
        })
        .collect();
    let words = Words {
        code: None,
        error: match reasons.as_slice() {
            [] => error.to_string(),
            _ => format!("{error}: {}", reasons.join("; ")),
        },
        next: gaps.filter_map(|gap| gap.remedy.clone()).next().or_else(|| {
            Some(format!("'hoist probe {device}' shows what each engine can do there"))
        }),
        log: None,
    };
    cx.shell.error(&words);
    if cx.shell.json() {
        let document = ErrorDocument::refused(&words, refusals);
        if let Err(failure) = cx.shell.document(&document) {
            return failure;
        }
    }
    Failure::Told(Exit::Refused)
}

/// What is attached now, as read back from the kernel.
///
/// # Errors
/// The kernel could not be asked.
pub(super) fn attached(running: &[Running]) -> Result<Vec<Attached>, Error> {
    running.iter().map(Attached::of).collect()
}
