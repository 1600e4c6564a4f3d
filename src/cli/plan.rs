//! `hoist plan`: which engine, and why not a better one.

use hoist_offload::privilege;

use super::args;
use super::context::{Context, LOAD};
use super::failure::{Exit, Failure};
use super::{program, render};
use crate::session::Counting;

/// Plans and prints the ladder. Nothing is attached.
///
/// # Errors
/// Wrong input, a failing kernel, or, told already, that no engine fits.
pub(super) fn run(cx: &mut Context<'_>, args: &args::Plan) -> Result<(), Failure> {
    let order = program::order(&args.program, &args.object, Counting::Never)?;
    let (wishes, absent) = program::wishes(&args.program, &cx.registry)?;
    let device = cx.device(&args.interface)?;
    let job = program::job(cx, order)?;
    let plan = cx.session().plan(&device, &job, &wishes)?;
    for absent in absent {
        cx.shell.warn(absent);
    }
    let missing: Vec<&str> = privilege::missing(&LOAD).iter().map(|c| c.name()).collect();
    if cx.session().kernel.is_none() && cx.is_live() && !missing.is_empty() {
        cx.shell.say(format_args!("note: without {} the plan is not proven", missing.join(", ")));
    }
    if cx.shell.json() {
        cx.shell.document(&plan)?;
    } else {
        cx.shell.print(render::plan::ladder(&plan, cx.shell.verbose()))?;
    }
    if plan.engine.is_none() {
        return Err(Failure::Told(Exit::Refused));
    }
    Ok(())
}
