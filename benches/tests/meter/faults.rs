//! Planted faults: each is named, and no number comes without it.

use std::process::{Child, Command};
use std::sync::Mutex;

use hoist_benches::meter::{Dut, Tester};
use hoist_benches::search::Bench as _;
use hoist_benches::stamp::Stamp;
use hoist_benches::trial::{Order, Severity, Trial};
use hoist_hwtests::capture::Sender;
use hoist_hwtests::dut;
use hoist_hwtests::lab::Lab;
use hoist_hwtests::require;
use hoist_offload::EngineKind;
use hoist_offload::plan::{Choice, Wanted};

use crate::world::{
    Faulty, SHORT, TOKEN, USER, codes, frame, generator, generator_of, lab, trial, under_test,
};

fn native(lab: &Lab, program: &str) -> Dut {
    under_test(lab, program, EngineKind::Native).unwrap()
}

/// The finding is there, as grave as it should be, and says what to do.
fn assert_found(trial: &Trial, code: &str, severity: Severity) {
    let all = &trial.findings;
    let Some(found) = all.iter().find(|f| f.code == code) else {
        panic!("no {code} in {all:#?}");
    };
    assert_eq!(found.severity, severity, "{found:?}");
    assert!(found.advice.is_some(), "{found:?}");
    assert!(severity != Severity::Invalid || !trial.valid(), "{found:?}");
}

#[test]
fn a_peer_without_napi_refuses_everything() {
    if !require::veth("a_peer_without_napi_refuses_everything") {
        return;
    }
    let lab = Lab::pair().unwrap();
    let dut = under_test(&lab, "drop", EngineKind::Generic).unwrap();
    let trial = trial(&lab, dut);
    assert_eq!(trial.received, 0);
    assert_found(&trial, "peer-without-napi", Severity::Invalid);
}

/// Two generators fill one ring of 256 while a slow engine empties it.
#[test]
fn a_ring_that_overflows_is_named() {
    if !require::veth("a_ring_that_overflows_is_named") {
        return;
    }
    let lab = lab();
    let mut second = generator(&lab);
    let (mut tester, mut found) = (
        Tester::new(
            lab.far(),
            generator(&lab),
            under_test(&lab, "drop", EngineKind::Generic).unwrap(),
        ),
        None,
    );
    for _ in 0..20 {
        let trial = std::thread::scope(|scope| {
            let far = lab.far();
            let (stop, second) = (std::sync::atomic::AtomicBool::new(false), &mut second);
            let other = scope.spawn(move || {
                let order = Order { load: None, seconds: 0.3 };
                let send = || hoist_benches::meter::Traffic::send(&mut **second, &order, &stop);
                far.namespace.run(send).unwrap().generated.packets
            });
            let trial = tester.trial(Order { load: None, seconds: 0.3 }).unwrap();
            other.join().unwrap();
            trial
        });
        if codes(&trial).contains(&"ring-overflow") {
            found = Some(trial);
            break;
        }
    }
    assert_found(&found.expect("no overflow in twenty trials"), "ring-overflow", Severity::Warning);
}

#[test]
fn a_socket_that_overflows_is_named() {
    if !require::veth("a_socket_that_overflows_is_named") {
        return;
    }
    for wanted in USER {
        let lab = lab();
        let mut tester =
            Tester::new(lab.far(), generator(&lab), under_test(&lab, "drop", wanted).unwrap());
        let overflows = |_| {
            let trial = tester.trial(SHORT).unwrap();
            codes(&trial).contains(&"socket-overflow").then_some(trial)
        };
        let found = (0..20).find_map(overflows).expect("no overflow in twenty trials");
        assert!(found.ledger.balanced(), "{found:#?}");
        assert_found(&found, "socket-overflow", Severity::Warning);
    }
}

#[test]
fn a_program_that_aborts_is_named() {
    if !require::veth("a_program_that_aborts_is_named") {
        return;
    }
    for wanted in dut::engines().chain([USER[0]]) {
        let lab = lab();
        let device = dut::Dut::new(lab.near()).unwrap();
        let object = hoist_bpf::programs::get("globals").unwrap().object;
        let job = device.job_with("globals", object, Some("xdp_globals"), |module| {
            let config = module.maps.iter_mut().find(|map| map.name == ".rodata").unwrap();
            // `min_length`, beyond every frame.
            config.data[4..8].copy_from_slice(&9000_u32.to_ne_bytes());
            Ok(())
        });
        let (_, attachment) = device.run(&job.unwrap(), Choice::only(wanted)).unwrap();
        let trial = trial(&lab, Dut::new(lab.near(), attachment).unwrap());
        assert!(trial.ledger.balanced(), "{wanted}: {trial:#?}");
        assert_found(&trial, "program-aborts", Severity::Warning);
    }
}

#[test]
fn a_generator_that_falls_behind_is_named() {
    if !require::veth("a_generator_that_falls_behind_is_named") {
        return;
    }
    let lab = lab();
    let mut tester = Tester::new(lab.far(), generator(&lab), native(&lab, "drop"));
    let trial = tester.trial(Order { load: Some(1e10), seconds: 0.05 }).unwrap();
    assert!(trial.offered() < 1e10);
    assert_found(&trial, "generator-too-slow", Severity::Warning);
    let trial = tester.trial(Order { load: Some(1e4), seconds: 0.05 }).unwrap();
    assert!(!codes(&trial).contains(&"generator-too-slow"), "{:#?}", trial.findings);
}

#[test]
fn a_generator_at_its_own_limit_is_named() {
    if !require::veth("a_generator_at_its_own_limit_is_named") {
        return;
    }
    let lab = lab();
    let tester = Tester::new(lab.far(), generator(&lab), native(&lab, "drop"));
    let trial = tester.floor(1.0).trial(SHORT).unwrap();
    assert_found(&trial, "generator-was-the-limit", Severity::Warning);
}

#[test]
fn a_link_that_drops_during_the_trial_is_named() {
    if !require::veth("a_link_that_drops_during_the_trial_is_named") {
        return;
    }
    for comes_back in [true, false] {
        let lab = lab();
        let near = lab.near().clone();
        let fault = move |_: &mut _| {
            near.set_up(false).unwrap();
            if comes_back {
                near.set_up(true).unwrap();
                near.wait_running().unwrap();
            }
        };
        let dut = native(&lab, "drop");
        let traffic = Box::new(Faulty { inner: generator(&lab), fault });
        let trial = Tester::new(lab.far(), traffic, dut).trial(SHORT).unwrap();
        assert_found(&trial, "link-changed", Severity::Invalid);
    }
}

#[test]
fn a_second_sender_is_named() {
    if !require::veth("a_second_sender_is_named") {
        return;
    }
    for wanted in dut::engines().chain([USER[0]]) {
        let lab = lab();
        let dut = under_test(&lab, "drop", wanted).unwrap();
        let second = Sender::open(lab.far()).unwrap();
        let bytes = frame(&lab, Stamp::default(), 18);
        let fault = move |_: &mut _| second.send_many(&bytes, 3).unwrap();
        let traffic = Box::new(Faulty { inner: generator(&lab), fault });
        let trial = Tester::new(lab.far(), traffic, dut).trial(SHORT).unwrap();
        assert_found(&trial, "foreign-traffic", Severity::Invalid);
    }
}

#[test]
fn packets_that_nobody_counts_are_named_with_both_counters() {
    if !require::veth("packets_that_nobody_counts_are_named_with_both_counters") {
        return;
    }
    let lab = lab();
    let dut = native(&lab, "drop");
    let fault = |sent: &mut hoist_benches::meter::Sent| sent.generated.packets += 5;
    let traffic = Box::new(Faulty { inner: generator(&lab), fault });
    let trial = Tester::new(lab.far(), traffic, dut).trial(SHORT).unwrap();
    assert_found(&trial, "packets-vanished", Severity::Invalid);
    let message = &trial.findings.iter().find(|f| f.code == "packets-vanished").unwrap().message;
    for word in ["5 packets", "transmission by v1", "BPF_PROG_TEST_RUN", "tx_queue_*_xdp_xmit"] {
        assert!(message.contains(word), "{message}");
    }
}

#[test]
fn frames_beyond_the_mtu_are_named() {
    if !require::veth("frames_beyond_the_mtu_are_named") {
        return;
    }
    let lab = Lab::with(|near| near.gro(true).mtu(500), |far| far.gro(true)).unwrap();
    let stamp = Stamp { token: TOKEN, ..Stamp::default() };
    let traffic = generator_of(&lab, frame(&lab, stamp, 600));
    let dut = native(&lab, "drop");
    let trial = Tester::new(lab.far(), traffic, dut).trial(SHORT).unwrap();
    assert_eq!(trial.received, 0);
    assert!(trial.ledger.balanced(), "the driver counts what it refuses: {trial:#?}");
    assert_found(&trial, "frame-exceeds-mtu", Severity::Invalid);
}

/// Ends with the test.
struct Spinner(Child);

impl Drop for Spinner {
    fn drop(&mut self) {
        // It ended by itself otherwise.
        drop((self.0.kill(), self.0.wait()));
    }
}

#[test]
fn a_busy_machine_is_named() {
    if !require::veth("a_busy_machine_is_named") {
        return;
    }
    let lab = lab();
    let spin = |_| {
        let mut command = Command::new("sh");
        // Five seconds of a processor, whatever becomes of this test.
        command.args(["-c", "ulimit -t 5; while :; do :; done"]);
        Spinner(command.spawn().unwrap())
    };
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let spinners: Vec<Spinner> = (0..cpus).map(spin).collect();
    let mut tester = Tester::new(lab.far(), generator(&lab), native(&lab, "drop"));
    let trial = tester.trial(Order { load: None, seconds: 0.5 }).unwrap();
    drop(spinners);
    assert!(codes(&trial).contains(&"busy-machine"), "{trial:#?}");
}

/// One at a time, and put back.
struct BpfStats(String);

impl BpfStats {
    const PATH: &str = "/proc/sys/kernel/bpf_stats_enabled";

    fn on() -> Self {
        let before = std::fs::read_to_string(Self::PATH).unwrap();
        std::fs::write(Self::PATH, "1").unwrap();
        Self(before)
    }
}

impl Drop for BpfStats {
    fn drop(&mut self) {
        std::fs::write(Self::PATH, &self.0).unwrap();
    }
}

#[test]
fn timed_programs_are_named() {
    if !require::veth("timed_programs_are_named") {
        return;
    }
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock();
    let lab = lab();
    let dut = native(&lab, "drop");
    let trial = {
        let _on = BpfStats::on();
        trial(&lab, dut)
    };
    assert_found(&trial, "bpf-stats-on", Severity::Warning);
}

#[test]
fn nothing_is_measured_without_privilege() {
    const CHILD: &str = "HOIST_METER_WITHOUT_PRIVILEGE";
    const NAME: &str = "nothing_is_measured_without_privilege";
    if std::env::var_os(CHILD).is_some() {
        let error = hoist_benches::meter::permitted().unwrap_err().to_string();
        assert!(error.contains("CAP_BPF") && error.contains("CAP_NET_ADMIN"), "{error}");
        return;
    }
    if !require::veth_and_command(NAME, "setpriv") {
        return;
    }
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set=-all", "--inh-caps=-all", "--"]);
    command.arg(std::env::current_exe().unwrap()).args(["--exact", &format!("faults::{NAME}")]);
    let output = command.env(CHILD, "1").env_remove("HOIST_REQUIRE").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    hoist_benches::meter::permitted().unwrap();
}

/// A sound trial on a healthy wire has nothing that makes it invalid, on any engine in the kernel.
#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    if !require::veth("nothing_is_found_where_nothing_is_wrong") {
        return;
    }
    let about_the_machine =
        ["busy-machine", "processor-stolen", "generator-was-the-limit", "bpf-stats-on"];
    for wanted in dut::engines() {
        let lab = lab();
        let wanted: Wanted = wanted;
        let trial = trial(&lab, under_test(&lab, "drop", wanted).unwrap());
        let wrong: Vec<&str> =
            codes(&trial).into_iter().filter(|code| !about_the_machine.contains(code)).collect();
        assert_eq!(wrong, Vec::<&str>::new(), "{wanted}: {:#?}", trial.findings);
    }
}
