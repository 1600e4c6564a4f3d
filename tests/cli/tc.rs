//! TC as the engine that is left, and other people's programs at its hooks.

use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hoist::offload::bpf::Insn;
use hoist::offload::bpf::kernel::{FilterKey, Kernel as _, Linux, ProgramSpec};
use hoist_hwtests::lab::Lab;
use hoist_hwtests::{require, socket};
use serde_json::Value;

use crate::harness::object;
use crate::live::Bench;

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
