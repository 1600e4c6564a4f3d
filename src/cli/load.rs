//! `hoist load`: attach and leave it there.

use super::args;
use super::context::Context;
use super::failure::Failure;
use super::program;
use super::schema::LoadDocument;
use crate::session::Counting;

/// Attaches to every interface or to none, pinned so that the program stays.
///
/// # Errors
/// The first refusal or failure; nothing stays attached then.
pub(super) fn run(cx: &mut Context<'_>, args: &args::Load) -> Result<(), Failure> {
    let running = program::attach(cx, &args.attach, Counting::Never, true)?;
    let attachments = program::attached(&running)?;
    let mut plans = Vec::with_capacity(running.len());
    for one in running {
        one.attachment.release();
        plans.push(one.plan);
    }
    if cx.shell.json() {
        let plans = plans.iter().collect();
        return cx.shell.document(&LoadDocument { schema: "hoist.load.v1", attachments, plans });
    }
    for one in &attachments {
        cx.shell.print(format_args!(
            "{}: {} (id {}) runs on {} (hook {})",
            one.device, one.program, one.id, one.engine, one.hook
        ))?;
    }
    Ok(())
}
