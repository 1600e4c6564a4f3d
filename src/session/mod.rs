//! From a file and an interface to a running program, in the steps that the command takes.
//!
//! ```text
//!  Order --read--> Draft --resolve--> Job --Session::plan------> Plan         nothing attached
//!  (file, set,     (pure)  (kernel       \-Session::attach_all-> attachments  all or none
//!   maps)                   types)
//! ```
//!
//! [`Order::read`] touches nothing but files; [`Draft::resolve`] asks the host for its types, and
//! only where the program refers to them; everything after that is the registry's business.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use hoist_offload::attach::{AttachPolicy, Attachment};
use hoist_offload::bpf::kernel::Kernel;
use hoist_offload::bpf::module::{Module, ProgramId};
use hoist_offload::bpf::parse::{SelectError, Selector};
use hoist_offload::bpf::{analysis, passes};
use hoist_offload::engine::{Job, Merged};
use hoist_offload::plan::{Plan, Wishes};
use hoist_offload::{Device, Error, Host, Registry};

pub mod codec;
pub mod contents;
pub mod control;
mod fit;
pub mod inventory;
pub mod routes;
pub(crate) mod sizes;
pub mod transfer;
pub mod userspace;
pub mod variables;

use contents::Contents;

use crate::{file, suggest};

/// Whether verdicts are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Counting {
    /// The program runs as it is.
    #[default]
    Never,
    /// Counted where the pass applies; the program runs either way.
    IfPossible,
    /// Counted, or the order is refused.
    Always,
}

/// What to run, and what to set before it runs.
#[derive(Clone, Debug, Default)]
pub struct Order {
    /// The object file.
    pub object: PathBuf,
    /// Which of its programs.
    pub selector: Selector,
    /// Global variables and their values, in text.
    pub set: Vec<(String, String)>,
    /// Maps and the number of entries that they get instead of their own.
    pub max_entries: Vec<(String, u32)>,
    /// Map contents, from [`Contents::read`].
    pub contents: Option<Contents>,
    /// Whether to count verdicts.
    pub count: Counting,
    /// Where maps that ask to be pinned by name are pinned.
    pub pin_root: Option<PathBuf>,
    /// What becomes of merged frames where the engine sees them.
    pub merged: Merged,
    /// Codes of differences that the user accepts.
    pub accept: BTreeSet<String>,
}

/// A program that was read, chosen and set up, but does not know its kernel yet.
#[derive(Clone, Debug)]
pub struct Draft {
    module: Module,
    program: ProgramId,
    order: Order,
}

impl Order {
    /// Reads the file, chooses the program and sets its variables. Pure but for reading the file.
    ///
    /// # Errors
    /// [`Error::Input`] naming what is wrong with the file, the selector, a variable or a map's size.
    pub fn read(self) -> Result<Draft, Error> {
        let name = self.object.display().to_string();
        let bytes = file::bytes(&self.object).map_err(|error| {
            input(
                format!("cannot read {name}: {}", file::words(&error)),
                "the object file comes last, after IF",
            )
        })?;
        self.parse(&name, &bytes)
    }

    /// Like [`Order::read`], for an object that is in memory already.
    ///
    /// # Errors
    /// See [`Order::read`].
    pub fn parse(self, name: &str, bytes: &[u8]) -> Result<Draft, Error> {
        let mut module = Module::parse(name, bytes).map_err(|error| {
            let hint = format!("'llvm-readelf -a {name}' shows what the file holds");
            Error::Input { what: format!("{name}: {error}"), hint: Some(hint) }
        })?;
        let program = module
            .select(&self.selector)
            .map_err(|error| Error::Input { hint: nearest(&error), what: error.to_string() })?;
        variables::set(&mut module, &self.set)?;
        sizes::set(&mut module, &self.max_entries)?;
        Ok(Draft { module, program, order: self })
    }
}

impl Draft {
    /// The module as it stands.
    #[must_use]
    pub const fn module(&self) -> &Module {
        &self.module
    }

    /// Fits the program to a host's kernel. The kernel's types are read only when the program
    /// refers to them. `cpus` is the number of possible CPUs of the kernel that will load it; `None`
    /// when the program is only planned for.
    ///
    /// # Errors
    /// The host could not be asked, the program refers to something its kernel lacks, a map's
    /// contents do not fit, or verdicts cannot be counted although they must be.
    pub fn resolve(self, host: &dyn Host, cpus: Option<usize>) -> Result<Job, Error> {
        let Self { module, program, order } = self;
        let module = fit::fit(module, host, cpus.is_some())?;
        let count_verdicts = match order.count {
            Counting::Never => false,
            Counting::IfPossible => passes::count::apply(&module, program).is_ok(),
            Counting::Always => {
                passes::count::apply(&module, program).map_err(|error| {
                    input(
                        format!("{}: verdicts cannot be counted: {error}", module.name),
                        "leave --count away to run the program as it is",
                    )
                })?;
                true
            }
        };
        let contents = match &order.contents {
            Some(contents) => contents.bytes_for(&module, cpus)?,
            None => Default::default(),
        };
        Ok(Job {
            requirements: analysis::requirements(&module, program),
            program,
            count_verdicts,
            pin_root: order.pin_root,
            contents,
            merged: order.merged,
            accept: order.accept,
            card: None,
            module: Arc::new(module),
        })
    }
}

/// A registry at work on one host.
#[derive(Clone, Debug)]
pub struct Session<'a> {
    /// Where facts come from.
    pub host: &'a dyn Host,
    /// The kernel, if there is one to load into: not for recordings, nor without privilege.
    pub kernel: Option<&'a Arc<dyn Kernel>>,
    /// Engines and drivers.
    pub registry: &'a Registry,
}

/// One interface's plan and what runs there.
#[derive(Debug)]
pub struct Running {
    /// Why this engine.
    pub plan: Plan,
    /// The program at work.
    pub attachment: Box<dyn Attachment>,
}

impl Session<'_> {
    /// Fits a program to this host.
    ///
    /// # Errors
    /// See [`Draft::resolve`].
    pub fn job(&self, draft: Draft) -> Result<Job, Error> {
        let cpus = self.kernel.map(|kernel| kernel.possible_cpus()).transpose()?;
        draft.resolve(self.host, cpus)
    }

    /// Plans: proven by loading where there is a kernel, else from facts. Nothing is attached.
    ///
    /// # Errors
    /// The host could not be asked, or loading failed for a reason that is not a refusal.
    pub fn plan(&self, device: &Device, job: &Job, wishes: &Wishes) -> Result<Plan, Error> {
        match self.kernel {
            Some(kernel) => Ok(self.registry.prove(self.host, kernel, device, job, wishes)?.0),
            None => self.registry.plan(self.host, device, job, wishes),
        }
    }

    /// Attaches to every device or to none: when one refuses, those before it are detached.
    ///
    /// # Errors
    /// The first device's refusal or failure. What could not be undone is told to `undone`.
    pub fn attach_all(
        &self,
        devices: &[Device],
        job: &Job,
        wishes: &Wishes,
        policy: &AttachPolicy,
        mut undone: impl FnMut(&Device, Result<(), Error>),
    ) -> Result<Vec<Running>, Error> {
        let kernel = self.kernel.ok_or_else(|| {
            input("a recorded host cannot run programs".to_owned(), "leave --host away")
        })?;
        let mut running: Vec<Running> = Vec::with_capacity(devices.len());
        for device in devices {
            match self.registry.attach(self.host, kernel, device, job, wishes, policy) {
                Ok((plan, attachment)) => running.push(Running { plan, attachment }),
                Err(error) => {
                    for (done, before) in running.into_iter().zip(devices).rev() {
                        undone(before, done.attachment.detach());
                    }
                    return Err(error);
                }
            }
        }
        Ok(running)
    }
}

/// The program that was probably meant.
fn nearest(error: &SelectError) -> Option<String> {
    let (wanted, have) = match error {
        SelectError::NoSuchProgram { wanted, have, .. } => (wanted, have),
        SelectError::NoSuchSection { .. } => return Some("-n names a program".to_owned()),
        SelectError::NotXdp { have, .. } => {
            let first = have.first().and_then(|program| program.split(" (").next())?;
            return Some(format!("to try one as XDP all the same, name it: -n {first}"));
        }
        SelectError::Ambiguous { have, .. } => {
            let first = have.first().and_then(|program| program.split(" (").next())?;
            return Some(format!("for example -n {first}"));
        }
    };
    let names = have.iter().map(|program| program.split(" (").next().unwrap_or(program));
    Some(match suggest::closest(wanted, names) {
        Some(near) => format!("did you mean -n {near}?"),
        None => "name one of them: -n PROG".to_owned(),
    })
}

fn input(what: String, hint: &str) -> Error {
    Error::Input { what, hint: Some(hint.to_owned()) }
}
