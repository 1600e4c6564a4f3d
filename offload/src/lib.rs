//! The contract between engines that run XDP programs and those who use them.
//!
//! # Who depends on this
//!
//! A NIC vendor's crate depends on this crate alone (with `default-features = false`: no libbpf, no
//! runtime). Engines implement [`Engine`], NIC knowledge implements [`Driver`], both are put in a
//! [`Registry`], and everything else (probing, planning, explaining, running) is shared.
//! `examples/vendor.rs` of this crate is such a vendor's crate in one file.
//!
//! # The life of a program
//!
//! ```text
//! Device --Engine::capabilities--> Capabilities --gaps(Requirements)--> [Gap]  (none: the engine fits)
//! Job    --Engine::prepare-------> Prepared     (loaded, verified, not attached)
//!        --Prepared::attach------> Attachment   (running; dropping it detaches)
//! ```
//!
//! Checks happen once, in [`Registry::plan`], above the engines, and list every gap of every engine
//! passed over. An engine refuses in `prepare` or `attach` only what could not be foreseen; the
//! planner then goes on to the next engine and keeps the reason.
//!
//! # Rules for engine authors
//!
//! 1. "No" is not an error. A capability that is missing is an [`Answer::No`] with evidence.
//! 2. What you do not know is [`Answer::Unknown`]. It is settled by `prepare`, never by attaching
//!    to traffic.
//! 3. Keep the kernel's own words; they reach the user.
//! 4. Never replace what is not yours. [`AttachPolicy`] says what the user allowed.

pub mod adjust;
pub mod attach;
pub mod capability;
pub mod device;
pub mod driver;
pub mod engine;
pub mod error;
pub mod expectation;
pub mod fact;
pub mod host;
pub mod kernel_map;
pub mod kernel_program;
pub mod names;
pub mod pins;
pub mod plan;
pub mod privilege;
pub mod profile;
pub mod xdp;

pub use attach::{AttachPolicy, Attachment, MapHandle, MapOps, Stats};
pub use capability::{Adjustment, Answer, Capabilities, Capability, Condition, When};
pub use device::Device;
pub use driver::Driver;
pub use engine::{Engine, EngineKind, Hook, Job, Prepared, Verdict};
pub use error::{Error, Gap, Refusal};
pub use expectation::Expectation;
pub use fact::{Evidence, EvidenceKind, Fact};
pub use host::Host;
pub use plan::{Certainty, Choice, Plan, Registry, Wanted, Warning};
pub use profile::Profile;

pub use hoist_bpf as bpf;
