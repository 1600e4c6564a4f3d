//! Where the cases are, on a terminal.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

use hoist_hwtests::conformance::CaseResult;
use indicatif::ProgressBar;

use crate::cli::shell::Shell;

/// A line that changes, or nothing where nobody watches.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    done: usize,
    failed: usize,
}

impl Progress {
    /// Starts.
    pub(super) fn start(shell: &mut Shell) -> Self {
        Self { bar: shell.busy("running cases ...".to_owned()), done: 0, failed: 0 }
    }

    /// Takes note of one result; tells to go on unless a signal came.
    pub(super) fn result(&mut self, result: &CaseResult, stop: &AtomicBool) -> ControlFlow<()> {
        self.done += 1;
        self.failed += usize::from(!result.outcome.is_explained());
        if let Some(bar) = &self.bar {
            let failed = match self.failed {
                0 => String::new(),
                n => format!(", {n} failed"),
            };
            let (done, engine, case) = (self.done, result.engine_name(), &result.case);
            bar.set_message(format!("{done} done{failed}; {engine}: {case}"));
        }
        match stop.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    /// Takes the line away.
    pub(super) fn end(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}
