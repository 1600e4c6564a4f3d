//! Compiling while the interpreter runs.

use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::thread;

use super::{Compiled, Input, NotCompiled, When, compile};

/// What became of compiling a machine's program.
#[derive(Debug)]
pub(crate) enum Background {
    /// A thread is at it.
    Running(Receiver<Result<Compiled, NotCompiled>>),
    /// There is machine code.
    Ready(Compiled),
    /// There is none, and there will be none.
    Interpreted(NotCompiled),
}

impl Background {
    /// Compiles now, in a thread of its own, or not at all.
    pub(crate) fn start(when: When, input: impl FnOnce() -> Input + Send + 'static) -> Self {
        match when {
            When::Never => Self::Interpreted(NotCompiled("not asked for".to_owned())),
            When::First => Self::done(compile(&input())),
            When::Meanwhile => {
                let (sender, receiver) = sync_channel(1);
                let work = move || {
                    // The machine may be gone by now: then so is the receiver.
                    let _unsent = sender.send(compile(&input()));
                };
                match thread::Builder::new().name("hoist-compile".to_owned()).spawn(work) {
                    Ok(_detached) => Self::Running(receiver),
                    Err(error) => {
                        Self::Interpreted(NotCompiled(format!("starting a thread: {error}")))
                    }
                }
            }
        }
    }

    fn done(result: Result<Compiled, NotCompiled>) -> Self {
        match result {
            Ok(compiled) => Self::Ready(compiled),
            Err(error) => Self::Interpreted(error),
        }
    }

    /// The machine code, once it is there.
    #[inline]
    pub(crate) fn poll(&mut self) -> Option<&Compiled> {
        if let Self::Running(receiver) = self {
            match receiver.try_recv() {
                Ok(result) => *self = Self::done(result),
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => *self = Self::done(Err(gone())),
            }
        }
        match self {
            Self::Ready(compiled) => Some(compiled),
            _ => None,
        }
    }

    /// Waits for the thread.
    ///
    /// # Errors
    /// Why there is no machine code.
    pub(crate) fn wait(&mut self) -> Result<(), NotCompiled> {
        if let Self::Running(receiver) = self {
            *self = Self::done(receiver.recv().unwrap_or_else(|_| Err(gone())));
        }
        match self {
            Self::Interpreted(error) => Err(error.clone()),
            _ => Ok(()),
        }
    }
}

fn gone() -> NotCompiled {
    NotCompiled("the code generator failed".to_owned())
}
