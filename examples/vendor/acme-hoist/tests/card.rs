//! ACME's build of hoist at work. A veth stands in for the card, in a network namespace of its own.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::process::{Command, Output};
use std::time::Duration;

use hoist::offload::plan::Choice;
use hoist::offload::{EngineKind, Verdict};
use hoist_hwtests::capture::Sender;
use hoist_hwtests::dut::Dut;
use hoist_hwtests::frame::Frame;
use hoist_hwtests::lab::{End, Lab, Namespace, Veth};
use hoist_hwtests::require;

/// Seconds that the command may take.
const LIMIT: Duration = Duration::from_secs(240);

/// Both ends of a wire in one namespace: `acme0` is the card, `acme1` whatever it is connected to.
struct Bench {
    namespace: Namespace,
    wire: Veth,
}

impl Bench {
    fn new() -> Self {
        let namespace = Namespace::new().unwrap();
        let ends = (End::new("acme0", 1), End::new("far0", 2));
        let wire = Veth::create((&namespace, ends.0), (&namespace, ends.1)).unwrap();
        Self { namespace, wire }
    }

    fn hoist(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_acme-hoist"));
        self.namespace.output(command.args(args), LIMIT).unwrap()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn object(name: &str) -> String {
    format!("{}/../../../bpf/prebuilt/{name}.bpf.o", env!("CARGO_MANIFEST_DIR"))
}

/// The kernel's engine is passed over with the vendor's reason, and the vendor's runs the program.
#[test]
fn the_vendors_engine_runs_programs_on_real_frames() {
    if !require::veth("the_vendors_engine_runs_programs_on_real_frames") {
        return;
    }
    let bench = Bench::new();
    let dut = Dut::with(&bench.wire.near, hoist::registry().driver(&acme::DRIVER)).unwrap();
    let job = dut.prebuilt("count_proto").unwrap();
    let (plan, running) = dut.run(&job, Choice::only(EngineKind::Native)).unwrap();
    assert_eq!(plan.provider.as_deref(), Some("acme"), "{plan:#?}");
    let [kernels] = plan.refusals.as_slice() else { panic!("{:#?}", plan.refusals) };
    assert_eq!(kernels.provider, "kernel");
    assert_eq!(kernels.gaps[0].code, "acme-own-engine");
    assert!(plan.warnings.iter().any(|warning| warning.code == "acme-stand-in"));
    let (near, far) = (&bench.wire.near, &bench.wire.far);
    let frame = Frame::eth(far.mac, near.mac).ipv4([192, 0, 2, 2], Lab::NEAR).udp(4000, 9);
    Sender::open(far).unwrap().send_many(&frame.bytes(), 7).unwrap();
    let counted = || running.stats().unwrap().unwrap().of(Verdict::Pass);
    for _ in 0..100 {
        if counted() >= 7 {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(counted() >= 7, "{} of 7 frames were counted", counted());
    running.detach().unwrap();
}

/// What is narrowed is printed with its reason.
#[test]
fn refusals_are_told_in_the_vendors_words() {
    if !require::veth("refusals_are_told_in_the_vendors_words") {
        return;
    }
    let bench = Bench::new();
    let plan = bench.hoist(&["plan", "acme0", &object("lpm_block"), "--engine", "native"]);
    let told = text(&plan.stdout);
    assert_eq!(plan.status.code(), Some(1), "{told}{}", text(&plan.stderr));
    let whole = told.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in [
        "acme-own-engine: the programs of acme0 are loaded by ACME's engine only",
        "passed over (acme)",
        "card-map-type",
    ] {
        assert!(whole.contains(words), "{words}: {told}");
    }
    let lint = bench.hoist(&["lint", &object("lpm_block"), "--profile", "acme"]);
    assert_eq!(lint.status.code(), Some(1), "{}", text(&lint.stdout));
}

/// The card is accepted: every case holds, is refused for a reason that is told, or differs where the
/// driver says so.
#[test]
fn hoist_verify_accepts_the_card() {
    if !require::veth("hoist_verify_accepts_the_card") {
        return;
    }
    let bench = Bench::new();
    let args = ["verify", "acme0", "--peer", "far0", "--engine", "native"];
    let ran = bench.hoist(&args);
    let told = text(&ran.stdout);
    assert_eq!(ran.status.code(), Some(0), "{told}{}", text(&ran.stderr));
    assert!(told.contains("acme-drops-aborted"), "{told}");
    assert!(told.contains("holds: "), "{told}");
}
