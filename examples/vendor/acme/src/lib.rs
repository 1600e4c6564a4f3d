//! ACME's network cards: what their driver asks for, which programs they take, and the engine that
//! gives them programs.
//!
//! ACME is made up, and so are its cards: a veth whose name begins with `acme` stands in for one. The
//! parts are those of a real vendor's crate:
//!
//! | file | what it holds |
//! |---|---|
//! | `lib.rs` | the driver: which devices are its own, and what narrows their capabilities |
//! | `engine.rs` | the engine: how a program gets onto a card |
//! | `profile.rs` | what the cards take, as data: `hoist lint --profile acme` |
//! | `expectations.rs` | where they do otherwise than docs/semantics.md: `hoist verify` |

use hoist_offload::bpf::requirements::{Feature, Need};
use hoist_offload::capability::{Answer, Condition, Severity};
use hoist_offload::{
    Capabilities, Device, Driver, Engine, EngineKind, Evidence, Expectation, Profile,
};

mod engine;
mod expectations;
mod profile;

pub use engine::ENGINE;

/// Bytes of a receive buffer that are left for the frame.
const LARGEST_MTU: u32 = 1984;

/// What is known of the kernel driver `acme`.
#[derive(Clone, Copy, Debug)]
pub struct Acme;

/// See the crate.
pub static DRIVER: Acme = Acme;

impl Driver for Acme {
    fn name(&self) -> &'static str {
        "acme"
    }

    fn claims(&self, device: &Device) -> bool {
        device.driver_name() == self.name() || stands_in(device)
    }

    fn refine(&self, device: &Device, known: &mut Capabilities) {
        if known.engine != EngineKind::Native {
            return;
        }
        if known.provider != engine::PROVIDER {
            known.conditions.push(firmware_would_be_passed_by(device));
            return;
        }
        known.set(Need::Feature(Feature::Redirect), Answer::No, evidence("acme_rx_action"));
        known.conditions.push(largest_mtu(device));
        if stands_in(device) {
            let what = format!("{} is a veth that stands in for an ACME card", device.name);
            let warns = Condition::new("acme-stand-in", Answer::No, what, evidence("the example"));
            known.conditions.push(warns.severity(Severity::Warns));
        }
    }

    fn profile(&self) -> Option<&'static Profile> {
        Some(&profile::PROFILE)
    }

    fn expectations(&self) -> &'static [Expectation] {
        expectations::EXPECTATIONS
    }

    fn engines(&self) -> Vec<&'static dyn Engine> {
        vec![&ENGINE]
    }
}

/// Every answer of a driver says where it is known from.
fn evidence(place: &str) -> Evidence {
    Evidence::driver(format!("acme/xdp.c: {place}"))
}

fn stands_in(device: &Device) -> bool {
    device.kind.as_deref() == Some("veth") && device.name.starts_with("acme")
}

/// The kernel's own engine would load what the firmware has not seen.
fn firmware_would_be_passed_by(device: &Device) -> Condition {
    let what = format!("the programs of {} are loaded by ACME's engine only", device.name);
    Condition::new("acme-own-engine", Answer::No, what, evidence("acme_xdp_setup"))
        .remedy("use ACME's build of hoist: acme-hoist run OBJ DEV --engine native")
}

fn largest_mtu(device: &Device) -> Condition {
    let fits = if device.mtu_bytes <= LARGEST_MTU { Answer::Yes } else { Answer::No };
    let what = format!(
        "ACME cards take programs up to an MTU of {LARGEST_MTU} bytes; {} has {}",
        device.name, device.mtu_bytes
    );
    Condition::new("mtu-too-large", fits, what, evidence("acme_xdp_setup"))
        .remedy(format!("ip link set dev {} mtu {LARGEST_MTU}", device.name))
}
