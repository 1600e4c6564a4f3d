//! What a card takes: the rules of its driver and firmware as data, and a checker that finds every
//! place where a program breaks one.
//!
//! A simulated NIC takes what no card takes, and a card's driver stops at the first thing it does not
//! like, often with nothing but an error number. So a card is judged by its [`Profile`]: plain data
//! that cites, rule by rule, the function of the driver that it follows. Checking needs no card, no
//! privilege and no kernel.
//!
//! ```text
//! Module --passes::lower(Profile::target)--> Module --Profile::inspect--> gaps, and what the firmware must have
//! log, dmesg --Profile::explain--> the same gaps, where a card did refuse
//! ```

use std::collections::{BTreeMap, BTreeSet};

use hoist_bpf::opcode::{class, mode};
use hoist_bpf::passes::lower::{Atomics, FrameStack, Target};
use serde::{Deserialize, Serialize};

mod check;
mod core;
mod explain;
mod lint;
mod parameter;
mod rule;

pub use check::{Demand, Findings};
pub use lint::{Judgement, Verdict, Wishes};
pub use parameter::{Origin, Parameter, Parameters, Unit};
pub use rule::{Citation, Rule};

/// `BPF_MAP_TYPE_PERCPU_HASH`, `BPF_MAP_TYPE_PERCPU_ARRAY`.
const PER_CPU: [u32; 2] = [5, 6];
/// `BPF_MAP_TYPE_LRU_HASH`.
const LRU_HASH: u32 = 9;
/// Instructions to which a program may grow where the card's limit is not known: lengths have 16 bits.
const MOST_SLOTS: usize = 0xffff;

/// What one family of cards takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// [`Profile::SCHEMA`].
    pub schema: String,
    /// Name: that of the kernel driver.
    pub name: String,
    /// What it is about, in one sentence.
    pub about: String,
    /// The kernel source that the rules follow, and its version.
    pub source: String,
    /// Operation codes that the card has: the whole first byte of an instruction. `None`: whatever
    /// the kernel's verifier takes.
    #[serde(default)]
    pub opcodes: Option<BTreeSet<u8>>,
    /// Helpers by number, each with the parameter that must be there for it; `None` in place of the
    /// table: whatever the kernel's verifier takes.
    #[serde(default)]
    pub helpers: Option<BTreeMap<u32, Option<String>>>,
    /// Fields of the context.
    #[serde(default)]
    pub context: Context,
    /// Maps.
    pub maps: Maps,
    /// Return values.
    #[serde(default)]
    pub verdicts: Verdicts,
    /// Bytes to which the driver rounds each frame of the stack.
    #[serde(default)]
    pub frame_bytes: Option<u32>,
    /// Bytes that a subprogram's frame takes besides its own: the return address, and the registers
    /// `r6` to `r9` where it uses one of them.
    #[serde(default)]
    pub call_bytes: (u32, u32),
    /// Rules that are enforced, each with its place in the kernel's source. What is not listed is
    /// not checked.
    pub rules: BTreeMap<Rule, Citation>,
    /// Numbers of the firmware.
    #[serde(default)]
    pub parameters: BTreeMap<String, Parameter>,
}

/// Fields of the context, by offset in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Context {
    /// Fields of `struct xdp_md` that a program may read.
    pub xdp_reads: BTreeSet<i16>,
    /// Fields of `struct __sk_buff` that a classifier may read.
    pub classifier_reads: BTreeSet<i16>,
    /// Fields of `struct xdp_md` that a program may write, each with the parameter that must be
    /// there for it.
    pub xdp_writes: BTreeMap<i16, String>,
}

/// Maps that a card holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Maps {
    /// Types that live on the card (`enum bpf_map_type`).
    pub on_card: BTreeSet<u32>,
    /// Types that stay with the host and may be used all the same.
    pub on_host: BTreeSet<u32>,
    /// Creation flags that are taken.
    pub flags: u32,
}

/// Return values that mean something to the card.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdicts {
    /// The largest verdict of an XDP program that is not taken for an aborted program.
    pub xdp_most: Option<u64>,
    /// Verdicts up to 7 that a classifier may return; whatever is above 7 passes the frame.
    pub classifier: Option<BTreeSet<u64>>,
}

/// Which kind of program is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProgramType {
    /// `BPF_PROG_TYPE_XDP`.
    Xdp,
    /// `BPF_PROG_TYPE_SCHED_CLS`, in direct-action mode.
    Classifier,
}

impl Profile {
    /// Name of the document's schema.
    pub const SCHEMA: &'static str = "hoist.profile.v1";

    /// Reads a profile as [`Profile`] is written.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn from_json(text: &str) -> Result<Self, String> {
        let profile: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if profile.schema != Self::SCHEMA {
            return Err(format!("{:?} is not {}", profile.schema, Self::SCHEMA));
        }
        Ok(profile)
    }

    /// A profile with the rules that the kernel itself has for every card
    /// (`kernel/bpf/offload.c`), and no others.
    #[must_use]
    pub fn kernel(name: &str, about: &str, source: &str) -> Self {
        core::profile(name, about, source)
    }

    /// What a program may be rewritten to for this card (`hoist_bpf::passes::lower`).
    #[must_use]
    pub fn target(&self, parameters: &Parameters) -> Target {
        let number = |name: &str| self.parameter(name, parameters).and_then(|p| p.value);
        let enforced = |rule| self.rules.contains_key(&rule);
        let host = Target::host();
        let lacks = |code: &u8| match &self.opcodes {
            Some(opcodes) => {
                let constant = code & 0xe7 == class::ST | mode::MEM;
                !opcodes.contains(code) || constant && enforced(Rule::StoreConstant)
            }
            None => false,
        };
        Target {
            // What later versions add shares its codes with what earlier ones have.
            isa: if enforced(Rule::Misread) { 3 } else { host.isa },
            without: (0..=u8::MAX).filter(lacks).collect(),
            atomics: if enforced(Rule::Atomic) { Atomics::Add } else { host.atomics },
            loops: !enforced(Rule::Loop) || number("loops").is_some_and(|yes| yes > 0),
            stack: match (number("stack_bytes"), self.frame_bytes) {
                (Some(most), Some(frame_bytes)) => {
                    let (call_bytes, register_bytes) = self.call_bytes;
                    let most = u32::try_from(most).unwrap_or(u32::MAX);
                    Some(FrameStack { most, frame_bytes, call_bytes, register_bytes })
                }
                _ => None,
            },
            global_data: !enforced(Rule::GlobalData),
            value_pointers: !enforced(Rule::MapOffset),
            map_stores: !enforced(Rule::MapStore),
            per_cpu_maps: PER_CPU.iter().all(|kind| self.maps.on_card.contains(kind)),
            lru_maps: self.maps.on_card.contains(&LRU_HASH),
            map_flags: if enforced(Rule::MapFlags) { self.maps.flags } else { host.map_flags },
            most_slots: number("max_instructions").map_or(MOST_SLOTS, |most| most as usize),
            ..host
        }
    }

    /// The citation of a rule, as evidence.
    #[must_use]
    pub fn evidence(&self, rule: Rule) -> crate::fact::Evidence {
        let place = self.rules.get(&rule).map_or("", |citation| citation.source.as_str());
        crate::fact::Evidence::driver(format!("{place} ({})", self.source))
    }
}
