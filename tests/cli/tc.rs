//! TC as the engine that is left, and other people's programs at its hooks.

use std::os::fd::AsFd as _;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hoist::offload::bpf::Insn;
use hoist::offload::bpf::kernel::{FilterKey, Kernel as _, Linux, ProgramSpec};
use hoist_hwtests::capture::Sender;
use hoist_hwtests::frame::Frame;
use hoist_hwtests::lab::Lab;
use hoist_hwtests::{require, socket};
use serde_json::Value;

use crate::harness::object;
use crate::live::{Bench, eventually};

/// The native slot is somebody's. The ladder says so, the program runs at TC behind it, and not one
/// datagram between two sockets is lost from before it came until after it went.
#[test]
fn a_held_slot_leads_to_tc_while_traffic_flows() {
    const PORT: u16 = 7000;
    if !require::veth("a_held_slot_leads_to_tc_while_traffic_flows") {
        return;
    }
    let bench = Bench::new();
    bench.hoist(&["load", "v0", &object("pass"), "-m", "native"]).code(0);
    let (near, far) = (bench.lab.near(), bench.lab.far());
    let server = socket::udp(&near.namespace, (Lab::NEAR, PORT)).unwrap();
    let client = socket::udp(&far.namespace, (Lab::FAR, PORT)).unwrap();
    let stop = AtomicBool::new(false);
    let (sent, received, ran) = std::thread::scope(|scope| {
        let traffic = scope.spawn(|| {
            let (mut sent, mut received) = (0_usize, 0_usize);
            while !stop.load(Ordering::Relaxed) {
                client.send_to(&[7; 32], (Lab::NEAR, PORT)).unwrap();
                sent += 1;
                if sent.is_multiple_of(16) {
                    std::thread::sleep(Duration::from_millis(2));
                    received += socket::drain(&server).unwrap().len();
                }
            }
            (sent, received + socket::drain(&server).unwrap().len())
        });
        std::thread::sleep(Duration::from_millis(100));
        let count = object("count_proto");
        let args = ["run", "v0", &count, "--engine", "native,tc", "-d", "1s", "-j"];
        let ran = bench.hoist(&args);
        std::thread::sleep(Duration::from_millis(100));
        stop.store(true, Ordering::Relaxed);
        let (sent, received) = traffic.join().unwrap();
        (sent, received, ran.code(0))
    });
    assert_eq!(received, sent, "datagrams");
    assert!(ran.err.contains("slot-held") && ran.err.contains("hook tcx"), "{}", ran.err);
    let lines: Vec<Value> =
        ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let plan = &lines[0]["plans"][0];
    assert_eq!((&plan["engine"], &plan["hook"]), (&"tc".into(), &"tcx".into()), "{plan:#}");
    assert_eq!(plan["refusals"][0]["engine"], "native");
    assert_eq!(plan["refusals"][0]["gaps"][0]["code"], "slot-held");
    assert!(plan["warnings"].as_array().unwrap().iter().any(|w| w["code"] == "runs-after"));
    let totals = &lines.last().unwrap()["counters"][0];
    assert!(totals["packets"]["pass"].as_u64() > Some(20), "{totals:#}");
    let left = bench.attachments();
    assert_eq!(left.len(), 1, "{left:#?}");
    assert_eq!(left[0]["engine"], "native");
}

/// A filter that somebody else added is shown, refused to be taken off, and taken off by name.
#[test]
fn a_foreign_filter_goes_only_by_force() {
    if !require::veth("a_foreign_filter_goes_only_by_force") {
        return;
    }
    let bench = Bench::new();
    let id = bench.lab.near().namespace.run(|| {
        let (kernel, ifindex) = (Linux::new().unwrap(), bench.lab.near().ifindex);
        let ok = [Insn::new(0xb7, 0, 0, 0, 0), Insn::new(0x95, 0, 0, 0, 0)];
        let spec = ProgramSpec { kind: 3, insns: &ok, ..ProgramSpec::default() };
        let program = kernel.load_program(&spec).unwrap();
        kernel.add_clsact(ifindex).unwrap();
        let key = FilterKey { priority: 9, handle: 1 };
        kernel.add_filter(ifindex, key, program.as_fd(), "theirs").unwrap();
        kernel.program_info(program.as_fd()).unwrap().id.to_string()
    });
    let row = &bench.attachments()[0];
    assert_eq!((&row["engine"], &row["hook"]), (&"tc".into(), &"clsact".into()), "{row:#}");
    let refused = bench.hoist(&["unload", "v0"]).code(1);
    assert!(refused.err.contains(&format!("--force {id}")), "{}", refused.err);
    bench.hoist(&["unload", "v0", "--force", &id]).code(0);
    assert_eq!(bench.attachments(), [] as [Value; 0]);
}

/// A program that was loaded with its qdisc leaves that to the one that replaces it for a while.
#[test]
fn what_replaces_a_kept_filter_takes_its_qdisc_away_too() {
    if !require::veth("what_replaces_a_kept_filter_takes_its_qdisc_away_too") {
        return;
    }
    let bench = Bench::new();
    let loaded = bench.hoist(&["load", "v0", &object("pass"), "-m", "clsact", "-j"]).code(0);
    let id = loaded.document()["attachments"][0]["id"].to_string();
    let next = object("drop");
    bench.hoist(&["run", "v0", &next, "-m", "clsact", "--replace", &id, "-d", "200ms"]).code(0);
    bench.lab.near().namespace.run(|| {
        assert!(Linux::new().unwrap().add_clsact(bench.lab.near().ifindex).unwrap());
    });
}

/// What the runtime drops behind the program's back is told, live and afterwards.
#[test]
fn events_off_the_plain_path_are_told() {
    if !require::veth("events_off_the_plain_path_are_told") {
        return;
    }
    let bench = Bench::new();
    let redirect = object("redirect");
    bench.hoist(&["load", "v0", &redirect, "-m", "tcx", "--count"]).code(0);
    bench.hoist(&["map", "set", "v0/target", "0", "9999"]).code(0);
    // Shorter ones fit every MTU and are not held against one.
    let (near, far) = (bench.lab.near(), bench.lab.far());
    let frame = Frame::eth(far.mac, near.mac).ipv4(Lab::FAR, Lab::NEAR).udp(4000, 9);
    let frame = frame.payload(&[7; 200]).bytes();
    let send = |count| Sender::open(far).unwrap().send_many(&frame, count).unwrap();
    send(3);
    eventually("three frames to an interface that is not there", || {
        bench.attachments()[0]["events"]["mtu_drop"] == 3
    });
    let told = bench.hoist(&["status", "v0"]).code(0);
    assert!(told.out.contains("mtu drop 3"), "{}", told.out);
    let maps = std::env::temp_dir().join(format!("hoist-target-{}.json", std::process::id()));
    std::fs::write(&maps, bench.hoist(&["map", "dump", "v0/target"]).code(0).out).unwrap();
    bench.hoist(&["unload", "v0"]).code(0);
    let filled = maps.to_str().unwrap();
    let args = ["run", "v0", &redirect, "-m", "tcx", "--maps", filled, "-d", "1s", "-j"];
    let ran = std::thread::scope(|scope| {
        let ran = scope.spawn(|| bench.hoist(&args));
        eventually("it runs", || !bench.attachments().is_empty());
        send(2);
        ran.join().unwrap().code(0)
    });
    std::fs::remove_file(&maps).unwrap();
    let lines = ran.lines();
    let totals = &lines.last().unwrap()["counters"][0];
    assert_eq!(totals["events"]["mtu_drop"], 2, "{totals:#}");
}

/// The interface gets another address: `run` follows, `status` warns of a program that cannot.
#[test]
fn a_new_address_is_followed_or_told() {
    if !require::veth("a_new_address_is_followed_or_told") {
        return;
    }
    let bench = Bench::new();
    let readdress = |mac: &str| {
        let mut ip = Command::new("ip");
        ip.args(["link", "set", "v0", "address", mac]);
        let near = &bench.lab.near().namespace;
        assert!(near.output(&mut ip, Duration::from_secs(5)).unwrap().status.success());
    };
    let swap = object("swap_tx");
    bench.hoist(&["load", "v0", &swap, "-m", "tcx"]).code(0);
    assert!(bench.attachments()[0]["old_address"].is_null());
    readdress("02:00:00:00:00:71");
    assert!(bench.attachments()[0]["old_address"].is_string());
    let told = bench.hoist(&["status", "v0"]).code(0);
    assert!(told.err.contains("xdp_swap_tx on v0 still goes by the address"), "{}", told.err);
    bench.hoist(&["unload", "v0"]).code(0);
    let args = ["run", "v0", &swap, "-m", "tcx", "-d", "2s", "--interval", "100ms"];
    std::thread::scope(|scope| {
        let ran = scope.spawn(|| bench.hoist(&args));
        eventually("it runs", || !bench.attachments().is_empty());
        readdress("02:00:00:00:00:72");
        eventually("it follows", || bench.attachments()[0]["old_address"].is_null());
        ran.join().unwrap().code(0);
    });
}
