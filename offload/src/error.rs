//! Gaps, refusals and failures.
//!
//! A refusal is *data*: the engine works, but not for this program on this device now. A failure is
//! an [`Error`]: something that should have worked did not.

use std::fmt;

use hoist_bpf::kernel::KernelError;
use hoist_bpf::module::SourceLine;
use hoist_bpf::requirements::{Need, Requirement};
use serde::{Deserialize, Serialize};

use crate::capability::Condition;
use crate::engine::{EngineKind, Hook};
use crate::fact::Evidence;
use crate::names;

/// One reason why an engine does not run a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Stable kebab-case code; each has its section in docs/refusals.md.
    pub code: String,
    /// One sentence: what is needed and what is there instead, with the kernel's words where it gave
    /// any.
    pub message: String,
    /// A command or change that would close the gap.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub remedy: Option<String>,
    /// Function and instruction slot, for example `xdp_main+17`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub insn: Option<String>,
    /// Source line of that instruction.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub line: Option<SourceLine>,
    /// The map concerned.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub map: Option<String>,
    /// How the missing capability is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub evidence: Option<Evidence>,
    /// The verifier's log, whole, where it refused the program.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub log: Option<String>,
}

impl Gap {
    /// A gap with a code and a message and nothing else.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
            remedy: None,
            insn: None,
            line: None,
            map: None,
            evidence: None,
            log: None,
        }
    }

    /// With a remedy.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// A requirement that the engine is known not to meet.
    #[must_use]
    pub fn missing(requirement: &Requirement, evidence: Option<&Evidence>) -> Self {
        let what = names::need(&requirement.need);
        let mut gap = Self::new(
            names::gap_code(&requirement.need),
            match &requirement.need {
                Need::Limit(..) => format!("the program needs {what}, more than this engine takes"),
                _ => format!("the program needs {what}, which this engine lacks here"),
            },
        );
        gap.place(requirement);
        gap.evidence = evidence.cloned();
        gap
    }

    /// A requirement about which nothing is known.
    #[must_use]
    pub fn unknown(requirement: &Requirement) -> Self {
        let what = names::need(&requirement.need);
        let mut gap = Self::new("unknown", format!("not known whether {what} is available"));
        gap.place(requirement);
        gap
    }

    /// A device condition that does not hold.
    #[must_use]
    pub fn condition(condition: &Condition) -> Self {
        Self {
            remedy: condition.remedy.clone(),
            evidence: Some(condition.evidence.clone()),
            ..Self::new(condition.code.clone(), condition.message.clone())
        }
    }

    /// The kernel refused in `prepare` or `attach`.
    #[must_use]
    pub fn kernel(code: &str, error: &KernelError) -> Self {
        Self {
            evidence: Some(Evidence::kernel(error.operation.clone())),
            log: error.log.clone(),
            ..Self::new(code, error.to_string())
        }
    }

    fn place(&mut self, requirement: &Requirement) {
        if let Some(site) = requirement.sites.first() {
            self.insn = Some(format!("{}+{}", site.function, site.insn));
            self.line = site.line.clone();
        }
        self.map.clone_from(&requirement.map);
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match (&self.line, &self.insn) {
            (Some(line), Some(insn)) => write!(f, " (at {}:{}, {insn})", line.file, line.line)?,
            (None, Some(insn)) => write!(f, " (at {insn})")?,
            _ => {}
        }
        Ok(())
    }
}

/// An engine's complete list of gaps for one program on one device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The engine passed over.
    pub engine: EngineKind,
    /// Where it would have attached; `None` where nobody provides such an engine.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hook: Option<Hook>,
    /// Who provides it.
    #[serde(default = "kernel_provider")]
    pub provider: String,
    /// Every reason, never empty.
    pub gaps: Vec<Gap>,
}

fn kernel_provider() -> String {
    "kernel".to_owned()
}

/// What can go wrong. The class decides the exit code of the command.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No engine, or not the one asked for, can run the program; every reason is in the refusals.
    #[error("{program} cannot run on {device}")]
    Refused {
        /// Interface name.
        device: String,
        /// Program name.
        program: String,
        /// Why, engine by engine.
        refusals: Vec<Refusal>,
    },
    /// The caller's input is wrong: a file, a name, a value. Carries what to do instead.
    #[error("{what}{}", .hint.as_deref().map(|h| format!("\n  next: {h}")).unwrap_or_default())]
    Input {
        /// What is wrong, naming the object.
        what: String,
        /// What to do.
        hint: Option<String>,
    },
    /// A privilege is missing.
    #[error("{what}: not permitted; needs {capability}\n  next: {hint}")]
    NotPermitted {
        /// The operation that needed it.
        what: String,
        /// The capability, for example `CAP_NET_ADMIN`.
        capability: String,
        /// How to get it.
        hint: String,
    },
    /// The kernel failed a request that should have worked.
    #[error("{error}{}", .hint.as_deref().map(|h| format!("\n  next: {h}")).unwrap_or_default())]
    Kernel {
        /// The kernel's answer.
        error: KernelError,
        /// What to do.
        hint: Option<String>,
    },
    /// The host could not be asked (a file, a socket, a recording).
    #[error("{operation} {object}: {source}")]
    Host {
        /// What was done.
        operation: &'static str,
        /// To what.
        object: String,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
}

impl From<KernelError> for Error {
    fn from(error: KernelError) -> Self {
        Self::Kernel { error, hint: None }
    }
}
