//! Every packet is accounted for on every engine, and a second counter says the same.

use hoist_benches::meter::{Dut, Path, Receiver, Tester};
use hoist_benches::search::Bench as _;
use hoist_benches::stamp::Stamp;
use hoist_benches::trial::{Fate, Trial};
use hoist_hwtests::capture::{Capture, Sender};
use hoist_hwtests::dut::{self, engines};
use hoist_hwtests::lab::{End, Veth};
use hoist_hwtests::require;
use hoist_offload::EngineKind;
use hoist_offload::plan::Choice;

use crate::world::{SHORT, TOKEN, USER, codes, frame, generator, lab, run, trial, under_test};

/// Every stage in words.
fn show(trial: &Trial) -> String {
    let mut text = format!("generated {} received {}\n", trial.generated, trial.received);
    for stage in &trial.ledger.stages {
        text += &format!("{}: {} [{}]\n", stage.name, stage.came.packets, stage.came.counter);
        for e in stage.out.iter().filter(|e| e.packets > 0) {
            text += &format!("    {:?} {} [{}]\n", e.fate, e.packets, e.counter);
        }
    }
    for w in &trial.ledger.witnesses {
        text += &format!("{} {} for {} {}\n", w.counter, w.packets, w.confirms, w.expected);
    }
    for f in &trial.findings {
        text += &format!("{:?} {}: {}\n", f.severity, f.code, f.message);
    }
    text
}

/// Nothing is missing, anywhere, and somebody else agrees on how many came.
fn assert_exact(what: &str, trial: &Trial) {
    let text = show(trial);
    assert!(trial.generated > 0 && trial.ledger.stages.len() >= 2, "{what}: {text}");
    assert!(trial.ledger.balanced(), "{what}: {text}");
    let came = trial.ledger.witnesses.iter();
    assert!(came.filter(|w| w.packets > 0).count() > 0, "{what}: nobody confirms it: {text}");
    let wrong = ["packets-vanished", "foreign-traffic", "counters-disagree", "link-changed"];
    assert!(!codes(trial).iter().any(|code| wrong.contains(code)), "{what}: {text}");
}

#[test]
fn every_packet_is_accounted_for_on_every_engine() {
    if !require::veth("every_packet_is_accounted_for_on_every_engine") {
        return;
    }
    let fates = [("drop", Fate::Drop), ("pass", Fate::Pass), ("swap_tx", Fate::Tx)];
    for (program, fate) in fates {
        for wanted in engines().chain(USER) {
            let lab = lab();
            let Some(dut) = under_test(&lab, program, wanted) else {
                // Passing takes BPF, which a packet socket does without.
                assert_eq!((program, wanted), ("pass", USER[1]));
                continue;
            };
            let trial = trial(&lab, dut);
            let what = format!("{program} on {wanted}");
            assert_exact(&what, &trial);
            assert_eq!(trial.ledger.of(fate), trial.received, "{what}: {}", show(&trial));
            assert!(trial.received > 0, "{what}: {}", show(&trial));
        }
    }
}

#[test]
fn what_comes_back_is_what_the_program_sent_back() {
    if !require::veth("what_comes_back_is_what_the_program_sent_back") {
        return;
    }
    for wanted in engines().chain(USER) {
        let lab = lab();
        let dut = under_test(&lab, "swap_tx", wanted).unwrap();
        let receiver = Receiver::attach(lab.far()).unwrap();
        let mut tester = Tester::new(lab.far(), generator(&lab), dut).receiving(receiver);
        let trial = tester.trial(SHORT).unwrap();
        assert_exact(&wanted.to_string(), &trial);
        let came = trial.ledger.of(Fate::Received);
        assert!(came > 0 && came == trial.received, "{wanted}: {}", show(&trial));
        assert_eq!(trial.ledger.of(Fate::Foreign), 0, "{wanted}: {}", show(&trial));
    }
}

#[test]
fn what_is_redirected_arrives_behind_the_other_interface() {
    if !require::veth("what_is_redirected_arrives_behind_the_other_interface") {
        return;
    }
    for wanted in engines() {
        let lab = lab();
        let ends = (
            (&lab.near().namespace, End::new("w0", 3).gro(true)),
            (&lab.far().namespace, End::new("w1", 4).gro(true)),
        );
        let second = Veth::create(ends.0, ends.1).unwrap();
        let dut = under_test(&lab, "redirect", wanted).unwrap();
        let hoist_benches::meter::Program::Hoist(attachment) = &dut.program else { unreachable!() };
        let target = second.near.ifindex.to_ne_bytes();
        attachment.map("target").unwrap().update(&0_u32.to_ne_bytes(), &target).unwrap();
        let receiver = Receiver::attach(&second.far).unwrap();
        let dut = dut.redirecting_to(&second.near);
        let mut tester = Tester::new(lab.far(), generator(&lab), dut).receiving(receiver);
        let trial = tester.trial(SHORT).unwrap();
        assert_exact(&wanted.to_string(), &trial);
        let came = trial.ledger.of(Fate::Received);
        assert!(came > 0 && came == trial.received, "{wanted}: {}", show(&trial));
    }
}

/// Without hoist and its counters, the driver's say what became of the frames.
#[test]
fn a_program_of_iproute2_is_accounted_for_by_the_kernel_alone() {
    let name = "a_program_of_iproute2_is_accounted_for_by_the_kernel_alone";
    if !require::veth_and_command(name, "ip") {
        return;
    }
    let object = std::env::temp_dir().join(format!("hoist-meter-{}.o", std::process::id()));
    std::fs::write(&object, hoist_bpf::programs::get("drop").unwrap().object).unwrap();
    let file = object.to_str().unwrap();
    for (mode, path) in [("xdpdrv", Path::Native), ("xdpgeneric", Path::Buffers)] {
        let lab = lab();
        run(lab.near(), &["ip", "link", "set", "dev", "v0", mode, "obj", file, "sec", "xdp"]);
        let trial = trial(&lab, Dut::control(lab.near(), path));
        assert_exact(mode, &trial);
        assert_eq!(trial.received, trial.generated, "{mode}: {}", show(&trial));
        if path == Path::Native {
            assert_eq!(trial.ledger.of(Fate::Drop), trial.generated, "{}", show(&trial));
        }
    }
    std::fs::remove_file(object).unwrap();
}

/// A packet socket behind the program sees every frame that the meter says was passed.
#[test]
fn a_tap_sees_what_the_meter_counts_as_passed() {
    if !require::veth("a_tap_sees_what_the_meter_counts_as_passed") {
        return;
    }
    const FRAMES: usize = 40;
    for wanted in engines().chain([USER[0]]) {
        let lab = lab();
        let device = dut::Dut::new(lab.near()).unwrap();
        let job = device.prebuilt("pass").unwrap();
        let (_, attachment) = device.run(&job, Choice::only(wanted)).unwrap();
        let tap = Capture::open(lab.near()).unwrap();
        let stamp = Stamp { token: TOKEN, ..Stamp::default() };
        Sender::open(lab.far()).unwrap().send_many(&frame(&lab, stamp, 18), FRAMES).unwrap();
        let seen = tap.wait_for(FRAMES).unwrap();
        let ours = seen.iter().filter(|f| Stamp::of(&f.bytes).is_some_and(|s| s.token == TOKEN));
        let counted = attachment.stats().unwrap().unwrap().total();
        assert_eq!((ours.count(), counted), (FRAMES, FRAMES as u64), "{wanted}");
    }
}

/// So does tshark, which knows nothing of hoist.
#[test]
fn tshark_sees_what_the_receiver_is_sent() {
    if !require::veth_and_command("tshark_sees_what_the_receiver_is_sent", "tshark") {
        return;
    }
    const FRAMES: usize = 200;
    let lab = lab();
    let file = std::env::temp_dir().join(format!("hoist-meter-{}.pcap", std::process::id()));
    let file = file.to_str().unwrap();
    let count = FRAMES.to_string();
    let mut command = std::process::Command::new("tshark");
    // Both directions; for so many frames, or twenty seconds.
    let filter = "udp port 4000";
    command.args(["-i", "v1", "-f", filter, "-c", &count, "-a", "duration:20", "-w", file]);
    command.stdin(std::process::Stdio::null()).stderr(std::process::Stdio::piped());
    let mut tshark = lab.far().namespace.spawn(&mut command).unwrap();
    let said = std::io::BufReader::new(tshark.stderr.take().unwrap());
    let mut lines = std::io::BufRead::lines(said);
    assert!(lines.any(|line| line.unwrap().contains("Capturing")), "tshark does not begin");
    // Its capture starts a moment after it says so.
    std::thread::sleep(std::time::Duration::from_millis(500));
    // Not native: the driver wakes nobody for what native XDP sends back, unless native XDP waits there.
    let dut = under_test(&lab, "swap_tx", EngineKind::Generic).unwrap();
    let stamp = Stamp { token: TOKEN, ..Stamp::default() };
    let sender = Sender::open(lab.far()).unwrap();
    // What is sent is seen going out, and coming back.
    sender.send_many(&frame(&lab, stamp, 18), FRAMES / 2).unwrap();
    assert!(tshark.wait().unwrap().success());
    let listed = run(lab.far(), &["tshark", "-r", file, "-T", "fields", "-e", "eth.dst"]);
    std::fs::remove_file(file).unwrap();
    let back = listed.lines().filter(|mac| mac.ends_with(":02")).count() as u64;
    let hoist_benches::meter::Program::Hoist(attachment) = &dut.program else { unreachable!() };
    let stats = attachment.stats().unwrap().unwrap();
    assert_eq!((back, stats.total()), (FRAMES as u64 / 2, FRAMES as u64 / 2), "{listed}");
}
