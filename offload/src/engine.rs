//! Engines: what runs a program on an interface.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use hoist_bpf::kernel::Kernel;
use hoist_bpf::module::{MapId, Module, ProgramId};
use hoist_bpf::requirements::Requirements;
use serde::{Deserialize, Serialize};

use crate::attach::{AttachPolicy, Attachment};
use crate::capability::Capabilities;
use crate::device::Device;
use crate::error::{Error, Gap};
use crate::host::Host;
use crate::pins::Kept;
use crate::plan::Warning;
use crate::profile::Profile;

/// Kinds of engines, in order of preference: `Ord` is the ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EngineKind {
    /// The NIC executes the program.
    Hw,
    /// The driver executes it before a socket buffer exists.
    Native,
    /// The core executes it on the socket buffer.
    Generic,
    /// It runs, translated, at TC ingress.
    Tc,
    /// hoist executes it.
    User,
}

impl EngineKind {
    /// Every kind, best first.
    pub const LADDER: [Self; 5] = [Self::Hw, Self::Native, Self::Generic, Self::Tc, Self::User];

    /// The name printed everywhere.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hw => "hw",
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Tc => "tc",
            Self::User => "user",
        }
    }
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Accepts hoist's names and those of xdp-tools, iproute2 and bpftool.
impl FromStr for EngineKind {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Ok(match s {
            "hw" | "offload" | "xdpoffload" | "hw-clsact" => Self::Hw,
            "native" | "drv" | "driver" | "xdpdrv" => Self::Native,
            "generic" | "skb" | "xdpgeneric" => Self::Generic,
            "tc" | "tcx" | "clsact" => Self::Tc,
            "user" | "userspace" | "vm" | "af_xdp" | "af_packet" => Self::User,
            other => return Err(format!("no engine is called '{other}'")),
        })
    }
}

/// Where in the host a program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hook {
    /// The XDP hook, in the mode the engine names.
    Xdp,
    /// tcx ingress.
    Tcx,
    /// clsact ingress.
    Clsact,
    /// An AF_XDP socket.
    AfXdp,
    /// An AF_PACKET socket.
    AfPacket,
    /// A capture file.
    File,
}

impl Hook {
    /// The name printed everywhere.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Xdp => "xdp",
            Self::Tcx => "tcx",
            Self::Clsact => "clsact",
            Self::AfXdp => "af_xdp",
            Self::AfPacket => "af_packet",
            Self::File => "file",
        }
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What an XDP program returns (`enum xdp_action` of `linux/bpf.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// `XDP_ABORTED` (0), and every value above 4.
    Aborted,
    /// `XDP_DROP` (1).
    Drop,
    /// `XDP_PASS` (2).
    Pass,
    /// `XDP_TX` (3).
    Tx,
    /// `XDP_REDIRECT` (4).
    Redirect,
}

impl Verdict {
    /// All verdicts, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::Aborted, Self::Drop, Self::Pass, Self::Tx, Self::Redirect];

    /// The lower-case word, `drop` for `XDP_DROP`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aborted => "aborted",
            Self::Drop => "drop",
            Self::Pass => "pass",
            Self::Tx => "tx",
            Self::Redirect => "redirect",
        }
    }
}

impl From<u32> for Verdict {
    /// Unknown codes are treated as the kernel does: like `XDP_ABORTED`.
    fn from(code: u32) -> Self {
        match code {
            1 => Self::Drop,
            2 => Self::Pass,
            3 => Self::Tx,
            4 => Self::Redirect,
            _ => Self::Aborted,
        }
    }
}

/// One program to run, with everything an engine needs to prepare it.
#[derive(Clone, Debug)]
pub struct Job {
    /// The module, resolved against the target kernel. Shared: planning tries several engines.
    pub module: Arc<Module>,
    /// Which of its programs.
    pub program: ProgramId,
    /// What that program needs.
    pub requirements: Requirements,
    /// Count verdicts per CPU (the counting pass).
    pub count_verdicts: bool,
    /// Where maps that ask to be pinned by name are pinned; `None` ignores the wish.
    pub pin_root: Option<PathBuf>,
    /// Map contents to write before the program is attached: key and value bytes in order.
    pub contents: BTreeMap<MapId, hoist_bpf::kernel::Entries>,
    /// What becomes of merged frames where the engine sees them.
    pub merged: Merged,
    /// Codes of differences that the user accepts (`--accept`): what rewriting the program for a NIC may
    /// change.
    pub accept: BTreeSet<String>,
    /// What the device's cards take, where one of its drivers knows: filled in by the registry that the
    /// driver was registered with ([`crate::Registry::equip`]), before an engine sees the job.
    pub card: Option<&'static Profile>,
}

/// What to do with frames that GRO or a local sender merged from several, which native XDP never
/// sees, where an engine sees them and can choose: the TC engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Merged {
    /// Run the program on the merged frame, as generic XDP does.
    #[default]
    Run,
    /// Drop them without running the program, and count them.
    Drop,
}

impl Job {
    /// A program of a module with nothing else wanted: verdicts are not counted, no map is pinned or
    /// filled. To be changed by `Job { ..., ..Job::new(module, program) }`, so that fields may be added.
    #[must_use]
    pub fn new(module: Module, program: ProgramId) -> Self {
        Self {
            requirements: hoist_bpf::analysis::requirements(&module, program),
            module: Arc::new(module),
            program,
            count_verdicts: false,
            pin_root: None,
            contents: BTreeMap::new(),
            merged: Merged::default(),
            accept: BTreeSet::new(),
            card: None,
        }
    }

    /// The program's name.
    #[must_use]
    pub fn program_name(&self) -> &str {
        &self.module.program(self.program).name
    }
}

/// Something that can run a module on an interface.
///
/// Engines are stateless: everything they know of a device comes in as a [`Device`].
pub trait Engine: Send + Sync + fmt::Debug {
    /// The kind, which is also its place on the ladder.
    fn kind(&self) -> EngineKind;

    /// Who provides it: `kernel`, or a vendor's name.
    fn provider(&self) -> &str {
        "kernel"
    }

    /// Where it attaches.
    fn hook(&self) -> Hook;

    /// What the engine can do on `device` right now, and how that is known. What the device's
    /// [`crate::Driver`] knows is added by the registry.
    ///
    /// # Errors
    /// Only when the question could not be asked. "No" is an answer, not an error.
    fn capabilities(&self, host: &dyn Host, device: &Device) -> Result<Capabilities, Error>;

    /// What speaks against the program itself on this kind of device, found without a kernel: asked
    /// where nothing is loaded, or when it is refused anyway, so that every reason is known.
    /// [`Engine::prepare`] finds the same.
    fn examine(&self, device: &Device, job: &Job) -> Vec<Gap> {
        let _ = (device, job);
        Vec::new()
    }

    /// Loads and verifies, without changing what the device does.
    ///
    /// # Errors
    /// [`Error::Refused`] with one refusal when the kernel will not take the program here;
    /// otherwise the failure.
    fn prepare(
        &self,
        kernel: &Arc<dyn Kernel>,
        device: &Device,
        job: &Job,
    ) -> Result<Box<dyn Prepared>, Error>;

    /// Takes charge of a program of this engine's that an earlier process told to stay: its maps, its
    /// counters, its replacement and its end. Dropping the attachment leaves the program running.
    /// [`crate::kernel_program::adopt`] does it for programs that the kernel runs.
    ///
    /// # Errors
    /// The pins could not be opened, or the engine's programs never stay.
    fn adopt(
        &self,
        kernel: &Arc<dyn Kernel>,
        kept: &Kept,
        device: &Device,
    ) -> Result<Box<dyn Attachment>, Error> {
        let _ = (kernel, device);
        Err(Error::Input {
            what: format!(
                "{}: programs of the {} engine do not stay",
                kept.path.display(),
                self.kind()
            ),
            hint: Some("hoist status lists what is attached".to_owned()),
        })
    }
}

/// A program that is loaded and verified, but sees no packet yet. Dropping it unloads.
///
/// [`Any`] lets an attachment recognise programs of its own engine in
/// [`Attachment::replace`].
pub trait Prepared: Send + fmt::Debug + Any {
    /// The engine that prepared it.
    fn engine(&self) -> EngineKind;

    /// A map by name, so that state can be set before traffic.
    fn map(&self, name: &str) -> Option<crate::attach::MapHandle>;

    /// Every map, in the module's order.
    fn maps(&self) -> Vec<crate::attach::MapHandle>;

    /// Attaches. On failure nothing stays attached.
    ///
    /// # Errors
    /// [`Error::Refused`] with the kernel's reason, or the failure.
    fn attach(self: Box<Self>, policy: &AttachPolicy) -> Result<Box<dyn Attachment>, Error>;

    /// What the user should know of this preparation, such as an option that could not be applied.
    fn warnings(&self) -> Vec<Warning> {
        Vec::new()
    }

    /// Runs the program on one frame without attaching (`BPF_PROG_TEST_RUN`), where the engine can.
    fn dry_run(&self) -> Option<&dyn DryRun> {
        None
    }
}

/// The ability to run a prepared program on a given frame.
pub trait DryRun {
    /// Runs it once. `frame` starts at the destination MAC address.
    ///
    /// # Errors
    /// The kernel's refusal.
    fn run(&self, frame: &[u8]) -> Result<Outcome, Error>;

    /// The maps that a run reads and writes, where they are not those of [`Prepared::maps`]: what runs
    /// is a twin with maps of its own.
    fn maps(&self) -> Option<Vec<crate::attach::MapHandle>> {
        None
    }
}

/// What a program did to one frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The verdict.
    pub verdict: Verdict,
    /// The frame afterwards.
    pub frame: Vec<u8>,
}
