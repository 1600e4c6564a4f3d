//! The device under test: a port, and the program on it.

use std::collections::BTreeMap;

use hoist_hwtests::dut::Failure;
use hoist_hwtests::lab::Port;
use hoist_offload::attach::{Attachment, Stats};
use hoist_offload::{EngineKind, Hook};

/// How frames come to a program, which decides who counts them on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// In the driver, before a socket buffer exists.
    Native,
    /// As socket buffers: generic XDP and TC.
    Buffers,
    /// Redirected by native XDP to a socket of this process.
    AfXdp,
    /// Copied to a packet socket of this process.
    AfPacket,
    /// In the NIC.
    Hardware,
}

impl Path {
    /// The path of an engine at a hook.
    #[must_use]
    pub const fn of(engine: EngineKind, hook: Hook) -> Self {
        match (engine, hook) {
            (EngineKind::Hw, _) => Self::Hardware,
            (EngineKind::Native, _) => Self::Native,
            (_, Hook::AfXdp) => Self::AfXdp,
            (_, Hook::AfPacket) => Self::AfPacket,
            _ => Self::Buffers,
        }
    }
}

/// What judges the frames.
#[derive(Debug)]
pub enum Program {
    /// Attached by hoist. Where it was prepared without counting, there are no verdicts.
    Hoist(Box<dyn Attachment>),
    /// Attached by somebody else, iproute2 for example: only the kernel counts.
    Control(Path),
}

/// A port with a program on it.
#[derive(Debug)]
pub struct Dut {
    /// Where frames come in.
    pub port: Port,
    /// What judges them.
    pub program: Program,
    /// How they come to it.
    pub path: Path,
    /// Where it redirects them to, if it does.
    pub egress: Option<Port>,
    /// Whether nobody else uses the port's network namespace, so that the protocols' counters say
    /// what became of passed frames.
    pub private: bool,
}

impl Dut {
    /// A port with a program that hoist attached.
    ///
    /// # Errors
    /// The program is no longer attached.
    pub fn new(port: &Port, attachment: Box<dyn Attachment>) -> Result<Self, Failure> {
        // Exclusive: an attachment may not be asked by two threads at once.
        let mut attachment = attachment;
        let held = &mut attachment;
        let effective = port.namespace.run(move || held.effective())?;
        let path = Path::of(effective.engine, effective.hook);
        Ok(Self::with(port, Program::Hoist(attachment), path))
    }

    /// A port with a program that somebody else attached.
    #[must_use]
    pub fn control(port: &Port, path: Path) -> Self {
        Self::with(port, Program::Control(path), path)
    }

    fn with(port: &Port, program: Program, path: Path) -> Self {
        Self { port: port.clone(), program, path, egress: None, private: false }
    }

    /// Redirects go out of this port.
    #[must_use]
    pub fn redirecting_to(mut self, egress: &Port) -> Self {
        self.egress = Some(egress.clone());
        self
    }

    /// Nobody else uses the port's namespace.
    #[must_use]
    pub const fn private(mut self) -> Self {
        self.private = true;
        self
    }

    /// Takes the program off, and says whether that worked.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn detach(self) -> Result<(), Failure> {
        match self.program {
            Program::Hoist(attachment) => {
                Ok(self.port.namespace.run(move || attachment.detach())?)
            }
            Program::Control(_) => Ok(()),
        }
    }

    /// Verdicts since the program was attached; `None` where it does not count them.
    pub(super) fn verdicts(&self) -> Result<Option<Stats>, Failure> {
        match &self.program {
            Program::Hoist(attachment) => Ok(attachment.stats()?),
            Program::Control(_) => Ok(None),
        }
    }

    /// What happened off the plain path since the program was attached.
    pub(super) fn events(&self) -> Result<BTreeMap<&'static str, u64>, Failure> {
        match &self.program {
            Program::Hoist(attachment) => Ok(attachment.events()?),
            Program::Control(_) => Ok(BTreeMap::new()),
        }
    }
}
