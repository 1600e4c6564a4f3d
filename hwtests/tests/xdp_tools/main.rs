//! The objects that Debian's xdp-tools and libxdp packages install, unmodified.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod filters;

use std::path::{Path, PathBuf};

use hoist_hwtests::dut::{Dut, engines};
use hoist_hwtests::lab::Lab;
use hoist_hwtests::{require, socket};
use hoist_offload::plan::Choice;
use hoist_offload::{AttachPolicy, EngineKind, Error, Verdict};

/// Object, and the program where it has several.
const OBJECTS: [(&str, Option<&str>); 13] = [
    ("xdpfilt_alw_all", None),
    ("xdpfilt_alw_eth", None),
    ("xdpfilt_alw_ip", None),
    ("xdpfilt_alw_tcp", None),
    ("xdpfilt_alw_udp", None),
    ("xdpfilt_dny_all", None),
    ("xdpfilt_dny_eth", None),
    ("xdpfilt_dny_ip", None),
    ("xdpfilt_dny_tcp", None),
    ("xdpfilt_dny_udp", None),
    ("xsk_def_xdp_prog", None),
    ("xsk_def_xdp_prog_5.3", None),
    ("xdp-dispatcher", Some("xdp_dispatcher")),
];

/// Where Debian and others put them; the first of these that exists.
fn directory() -> PathBuf {
    let multiarch = format!("/usr/lib/{}-linux-gnu/bpf", std::env::consts::ARCH);
    let places = [multiarch.as_str(), "/usr/lib/bpf", "/usr/lib64/bpf"].map(PathBuf::from);
    places.iter().find(|p| p.is_dir()).unwrap_or(&places[0]).clone()
}

fn path(object: &str) -> PathBuf {
    directory().join(format!("{object}.o"))
}

fn installed(test: &str) -> bool {
    let paths: Vec<PathBuf> = OBJECTS.iter().map(|(object, _)| path(object)).collect();
    let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
    require::veth_and_files(test, &paths)
}

#[test]
fn every_object_is_planned_and_runs_on_every_engine() {
    if !installed("every_object_is_planned_and_runs_on_every_engine") {
        return;
    }
    let lab = Lab::pair().unwrap();
    let dut = Dut::new(lab.near()).unwrap();
    // Two filters compute their verdict in ways that do not show that it is never XDP_TX. With a
    // program at the other end, XDP_TX would arrive, and so does not matter.
    let peer = Dut::new(lab.far()).unwrap();
    let native = Choice::only(EngineKind::Native);
    let _receiving = peer.run(&peer.prebuilt("pass").unwrap(), native).unwrap();
    for (object, program) in OBJECTS {
        let bytes = std::fs::read(path(object)).unwrap();
        let job = dut.job(object, &bytes, program).unwrap_or_else(|e| panic!("{object}: {e}"));
        let plan = dut.plan(&job, Choice::Auto).unwrap();
        let passed_over: Vec<_> = plan.refusals.iter().map(|refusal| refusal.engine).collect();
        assert_eq!(
            (plan.engine, passed_over),
            (Some(EngineKind::Native), vec![EngineKind::Hw]),
            "{object}: {plan:#?}"
        );
        for engine in engines() {
            let at = format!("{object} on {engine}");
            let ran = dut.run(&job, Choice::only(engine));
            // Nothing at TC delivers to AF_XDP sockets.
            if engine.kind == EngineKind::Tc && object.starts_with("xsk_") {
                let Err(Error::Refused { refusals, .. }) = ran else { panic!("{at}: {ran:?}") };
                let gap = &refusals[0].gaps[0];
                assert_eq!(gap.code, "missing-map-type", "{at}");
                assert!(gap.message.contains("xskmap"), "{at}: {}", gap.message);
                continue;
            }
            let (_, mut running) = ran.unwrap_or_else(|e| panic!("{at}: {e:#?}"));
            let effective = dut.effective(&mut *running).unwrap();
            assert_eq!(effective.engine, engine.kind, "{at}");
            assert!(engine.hook.is_none_or(|hook| hook == effective.hook), "{at}");
        }
    }
}

/// What `xdp-filter load --policy allow --features ipv4` runs (`alw`) passes what it is not told of;
/// with `--policy deny` (`dny`) it drops that. In both, `xdp-filter ip ADDRESS --mode src` names the
/// exception.
#[test]
fn the_ip_filters_treat_the_configured_address_otherwise_than_others() {
    if !installed("the_ip_filters_treat_the_configured_address_otherwise_than_others") {
        return;
    }
    /// `MAP_FLAG_SRC` of xdp-filter's common_kern_user.h: match the source address.
    const SOURCE: u64 = 1;
    const CONFIGURED: [u8; 4] = [10, 0, 0, 3];
    const OTHER: [u8; 4] = [10, 0, 0, 2];
    for (object, passes) in [("xdpfilt_alw_ip", OTHER), ("xdpfilt_dny_ip", CONFIGURED)] {
        let bytes = std::fs::read(path(object)).unwrap();
        for engine in engines() {
            let at = format!("{object} on {engine}");
            let lab = Lab::with(|near| near, |far| far.address(CONFIGURED, 24)).unwrap();
            let dut = Dut::new(lab.near()).unwrap();
            let prepared = dut.prepare(&dut.job(object, &bytes, None).unwrap(), engine).unwrap();
            let filter = prepared.map("filter_ipv4").expect("the map of addresses");
            // One value for each CPU.
            let cpus = dut.kernel().possible_cpus().unwrap();
            filter.update(&CONFIGURED, &SOURCE.to_ne_bytes().repeat(cpus)).unwrap();
            let running = dut.attach(prepared, &AttachPolicy::default()).unwrap();

            let server = socket::udp(&lab.near().namespace, (Lab::NEAR, 7000)).unwrap();
            let heard = || {
                for from in [CONFIGURED, OTHER] {
                    let client = socket::udp(&lab.far().namespace, (from, 7000)).unwrap();
                    client.send_to(&from, (Lab::NEAR, 7000)).unwrap();
                }
                socket::drain(&server).unwrap()
            };
            assert_eq!(heard(), [passes], "{at}");
            let stats = running.stats().unwrap().expect("verdicts are counted");
            assert_eq!((stats.of(Verdict::Drop), stats.of(Verdict::Pass)), (1, 1), "{at}");

            // The entry is the map's to take away again while the program runs: then all are alike.
            assert!(filter.delete(&CONFIGURED).unwrap());
            let all = if passes == OTHER { vec![CONFIGURED, OTHER] } else { vec![] };
            assert_eq!(heard(), all, "{at}: without the entry");
        }
    }
}
