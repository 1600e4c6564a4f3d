//! The native and the generic engine on a veth pair: load, traffic, counters, replacement, detach,
//! and what is left after a crash.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use hoist_bpf::kernel::{Expect, Kernel, Linux, ProgramSpec, XdpMode};
use hoist_bpf::requirements::Requirements;
use hoist_bpf::resolve::{TargetBtf, resolve};
use hoist_bpf::{Insn, Module, Selector, analysis, programs};
use hoist_drivers::NATIVE;
use hoist_fallback::GENERIC;
use hoist_hwtests::capture::{Capture, Sender};
use hoist_hwtests::frame::Frame;
use hoist_hwtests::lab::Lab;
use hoist_hwtests::{require, wait};
use hoist_offload::host::LinuxHost;
use hoist_offload::plan::{Choice, Wishes};
use hoist_offload::{
    AttachPolicy, Attachment, Device, Engine, EngineKind, Error, Host, Job, Registry, Stats,
    Verdict, pins,
};

/// Set for the process that is killed.
const CHILD: &str = "HOIST_TEST_CHILD";
const MOMENT: Duration = Duration::from_millis(300);
const ENGINES: [(&dyn Engine, XdpMode); 2] =
    [(&NATIVE, XdpMode::Native), (&GENERIC, XdpMode::Generic)];

fn kernel() -> Arc<dyn Kernel> {
    Arc::new(Linux::new().unwrap())
}

fn device(kernel: &Arc<dyn Kernel>, name: &str) -> Device {
    LinuxHost::new(Arc::clone(kernel)).device(name).unwrap()
}

fn registry() -> Registry {
    let mut registry = Registry::new().engine(&NATIVE).engine(&GENERIC);
    for driver in hoist_drivers::DRIVERS {
        registry = registry.driver(*driver);
    }
    registry
}

/// One of the programs that come with hoist.
fn job(object: &str, program: Option<&str>) -> Job {
    let bytes = programs::get(object).unwrap().object;
    job_of(&Module::parse(object, bytes).unwrap(), program)
}

fn job_of(module: &Module, program: Option<&str>) -> Job {
    let selector = Selector { program: program.map(str::to_owned), section: None };
    let program = module.select(&selector).unwrap();
    let btf = std::fs::read("/sys/kernel/btf/vmlinux").unwrap();
    let module = resolve(module, &TargetBtf::parse(btf).unwrap()).unwrap();
    let requirements: Requirements = analysis::requirements(&module, program);
    Job {
        module: Arc::new(module),
        program,
        requirements,
        count_verdicts: true,
        pin_root: None,
        contents: BTreeMap::new(),
    }
}

fn attach(
    engine: &dyn Engine,
    name: &str,
    job: &Job,
    policy: &AttachPolicy,
) -> Box<dyn Attachment> {
    let kernel = kernel();
    let device = device(&kernel, name);
    engine.prepare(&kernel, &device, job).and_then(|p| p.attach(policy)).unwrap()
}

fn frame(lab: &Lab) -> Vec<u8> {
    Frame::eth(lab.far().mac, lab.near().mac)
        .ipv4(Lab::FAR, Lab::NEAR)
        .udp(1000, 2000)
        .payload(b"hoist")
        .bytes()
}

fn counted(attachment: &dyn Attachment, total: u64) -> Stats {
    let stats = || attachment.stats().unwrap().unwrap();
    wait::until(MOMENT, || stats().total() >= total);
    stats()
}

/// The gap codes of an error that is a refusal.
fn codes(error: &Error) -> Vec<String> {
    match error {
        Error::Refused { refusals, .. } => {
            refusals.iter().flat_map(|r| &r.gaps).map(|g| g.code.clone()).collect()
        }
        other => panic!("not a refusal: {other}"),
    }
}

#[test]
fn a_program_runs_is_replaced_and_taken_off() {
    if !require::veth("a_program_runs_is_replaced_and_taken_off") {
        return;
    }
    for (engine, mode) in ENGINES {
        let lab = Lab::pair().unwrap();
        let (frame, sender) = (frame(&lab), Sender::open(lab.far()).unwrap());
        let stack = Capture::open(lab.near()).unwrap();
        lab.near().namespace.run(|| {
            let kernel = kernel();
            let device = device(&kernel, "v0");
            let mut running = attach(engine, "v0", &job("drop", None), &AttachPolicy::default());
            let effective = running.effective().unwrap();
            assert_eq!(effective.engine, engine.kind());
            assert_eq!(
                kernel.query_xdp(device.ifindex).unwrap().of(mode),
                Some(effective.program_id)
            );

            sender.send_many(&frame, 5).unwrap();
            let stats = counted(&*running, 5);
            assert_eq!(stats.of(Verdict::Drop), 5, "{engine:?}");
            assert_eq!(stats.bytes[Verdict::Drop as usize], 5 * frame.len() as u64, "{engine:?}");
            assert!(stack.next(MOMENT).unwrap().is_none(), "{engine:?}: a dropped frame passed");

            let next = engine.prepare(&kernel, &device, &job("pass", None)).unwrap();
            running.replace(next).unwrap();
            let replaced = running.effective().unwrap();
            assert_eq!(replaced.link_id, effective.link_id, "the link stays");
            assert_ne!(replaced.program_id, effective.program_id);
            sender.send_many(&frame, 3).unwrap();
            assert_eq!(counted(&*running, 3).of(Verdict::Pass), 3);
            assert_eq!(stack.take(3).unwrap().len(), 3, "{engine:?}: a frame was lost");

            running.detach().unwrap();
            assert_eq!(kernel.query_xdp(device.ifindex).unwrap().of(mode), None);
        });
    }
}

#[test]
fn dropping_an_attachment_detaches() {
    if !require::veth("dropping_an_attachment_detaches") {
        return;
    }
    let lab = Lab::pair().unwrap();
    lab.near().namespace.run(|| {
        for (engine, mode) in ENGINES {
            let running = attach(engine, "v0", &job("pass", None), &AttachPolicy::default());
            drop(running);
            assert_eq!(kernel().query_xdp(lab.near().ifindex).unwrap().of(mode), None);
        }
    });
}

/// Attaches for [`a_killed_process_leaves_nothing`] and waits to be killed.
#[test]
#[ignore = "the child of another test"]
fn child_attaches_and_waits() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let running = attach(&NATIVE, "v0", &job("drop", None), &AttachPolicy::default());
    println!("attached");
    std::thread::sleep(Duration::from_secs(20));
    drop(running);
}

#[test]
fn a_killed_process_leaves_nothing() {
    if !require::veth("a_killed_process_leaves_nothing") {
        return;
    }
    let lab = Lab::pair().unwrap();
    let native =
        || lab.near().namespace.run(|| kernel().query_xdp(lab.near().ifindex).unwrap().native);
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "--ignored", "--nocapture", "child_attaches_and_waits"]);
    command.env(CHILD, "1").stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = lab.near().namespace.spawn(&mut command).unwrap();
    assert!(
        wait::until(Duration::from_secs(10), || native().is_some()),
        "the child never attached"
    );
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(wait::until(MOMENT, || native().is_none()), "the program outlived its process");
}

#[test]
fn a_kept_program_stays_and_is_found_again() {
    if !require::veth("a_kept_program_stays_and_is_found_again") {
        return;
    }
    let root = kernel().bpffs(&format!("hoist_test_{}", std::process::id())).unwrap();
    for (engine, mode) in ENGINES {
        let lab = Lab::pair().unwrap();
        let (frame, sender) = (frame(&lab), Sender::open(lab.far()).unwrap());
        lab.near().namespace.run(|| {
            let kernel = kernel();
            let device = device(&kernel, "v0");
            let policy = AttachPolicy { keep: Some(root.clone()), replace: None };
            let kept = attach(engine, "v0", &job("count_proto", None), &policy);
            let id = kept.effective().unwrap().program_id;
            drop(kept);
            assert_eq!(kernel.query_xdp(device.ifindex).unwrap().of(mode), Some(id));

            let found = pins::running(&*kernel, &root).unwrap();
            let [(kept, pins::State::Running { program_id, link_id: Some(_) })] = &found[..] else {
                panic!("{found:?}");
            };
            assert_eq!(
                (*program_id, kept.ifindex, kept.slot.engine()),
                (id, device.ifindex, engine.kind())
            );

            sender.send_many(&frame, 4).unwrap();
            let mut adopted = engine.adopt(&kernel, kept, &device).unwrap();
            assert_eq!(counted(&*adopted, 4).of(Verdict::Pass), 4);
            let protocols = adopted.map("protocols").unwrap();
            let udp = protocols.lookup(&17u32.to_ne_bytes()).unwrap().unwrap();
            let packets: u64 =
                udp.chunks_exact(16).map(|c| u64::from_ne_bytes(c[..8].try_into().unwrap())).sum();
            assert_eq!(packets, 4);

            // Replaced by the id that runs, by another process as it were.
            let next = engine.prepare(&kernel, &device, &job("drop", None)).unwrap();
            adopted.replace(next).unwrap();
            let new = adopted.effective().unwrap().program_id;
            drop(adopted);
            let replacing = AttachPolicy { keep: Some(root.clone()), replace: Some(new) };
            drop(attach(engine, "v0", &job("pass", None), &replacing));
            let found = pins::running(&*kernel, &root).unwrap();
            assert_eq!(found.len(), 1);
            let stale = AttachPolicy { keep: Some(root.clone()), replace: Some(new) };
            let prepared = engine.prepare(&kernel, &device, &job("pass", None)).unwrap();
            let error = prepared.attach(&stale).unwrap_err();
            assert_eq!(codes(&error), ["replace-mismatch"]);

            engine.adopt(&kernel, &found[0].0, &device).unwrap().detach().unwrap();
            assert_eq!(kernel.query_xdp(device.ifindex).unwrap().of(mode), None);
            assert_eq!(pins::list(&*kernel, &root).unwrap(), []);
        });
    }
    // An interface that goes away leaves pins that a sweep finds dead.
    let lab = Lab::pair().unwrap();
    let near = lab.near().namespace.clone();
    near.run(|| {
        let policy = AttachPolicy { keep: Some(root.clone()), replace: None };
        drop(attach(&NATIVE, "v0", &job("pass", None), &policy));
    });
    drop(lab);
    near.run(|| {
        let kernel = kernel();
        assert!(wait::until(Duration::from_secs(2), || {
            pins::running(&*kernel, &root).unwrap().is_empty()
        }));
        assert_eq!(pins::sweep(&*kernel, &root).unwrap().len(), 1);
        assert_eq!(pins::list(&*kernel, &root).unwrap(), []);
        kernel.remove_directory(&root).unwrap();
    });
}

#[test]
fn a_vanished_interface_is_reported() {
    if !require::veth("a_vanished_interface_is_reported") {
        return;
    }
    for (engine, _) in ENGINES {
        let lab = Lab::pair().unwrap();
        let near = lab.near().namespace.clone();
        let running =
            near.run(|| attach(engine, "v0", &job("pass", None), &AttachPolicy::default()));
        drop(lab);
        near.run(|| {
            assert!(wait::until(Duration::from_secs(2), || running.effective().is_err()));
            let text = running.effective().unwrap_err().to_string();
            assert!(text.contains("interface is gone"), "{text}");
            running.detach().unwrap();
        });
    }
}

/// The whole of the ladder: a peer with a large MTU refuses native before and generic is chosen;
/// after the remedy, or for a program that takes fragments, native is.
#[test]
fn the_peers_mtu_decides() {
    if !require::veth("the_peers_mtu_decides") {
        return;
    }
    let registry = registry();
    let choose = |object: &str| {
        let kernel = kernel();
        let host = LinuxHost::new(Arc::clone(&kernel));
        let device = host.device("v0").unwrap();
        let policy = AttachPolicy::default();
        registry
            .attach(&host, &kernel, &device, &job(object, None), &Wishes::default(), &policy)
            .map(|(plan, _running)| plan)
            .unwrap()
    };
    let lab = Lab::with(|near| near, |far| far.mtu(9000)).unwrap();
    lab.near().namespace.run(|| {
        let plan = choose("drop");
        assert_eq!(plan.engine, Some(EngineKind::Generic), "{plan:?}");
        let gap = &plan.refusals[0].gaps[0];
        assert_eq!(gap.code, "peer-mtu-too-large", "{gap:?}");
        assert_eq!(choose("frags").engine, Some(EngineKind::Native));
        lab.far().set_mtu(1500).unwrap();
        lab.near().set_mtu(9000).unwrap();
        assert_eq!(choose("drop").engine, Some(EngineKind::Native));
    });
}

/// A slot that somebody else holds is not touched unless the user names what is in it; then it is
/// swapped, and emptied in the end.
#[test]
fn a_foreign_program_is_replaced_only_by_name() {
    if !require::veth("a_foreign_program_is_replaced_only_by_name") {
        return;
    }
    let lab = Lab::pair().unwrap();
    let sender = Sender::open(lab.far()).unwrap();
    lab.near().namespace.run(|| {
        let kernel = kernel();
        for (engine, mode) in ENGINES {
            let device = device(&kernel, "v0");
            let theirs = attach(engine, "v0", &job("pass", None), &AttachPolicy::default());
            let id = theirs.effective().unwrap().program_id;
            let prepare = || engine.prepare(&kernel, &device, &job("drop", None)).unwrap();

            let error = prepare().attach(&AttachPolicy::default()).unwrap_err();
            assert_eq!(codes(&error), ["slot-held"]);
            let wrong = AttachPolicy { keep: None, replace: Some(id + 1) };
            assert_eq!(codes(&prepare().attach(&wrong).unwrap_err()), ["replace-mismatch"]);
            assert_eq!(theirs.effective().unwrap().program_id, id);

            let right = AttachPolicy { keep: None, replace: Some(id) };
            let ours = prepare().attach(&right).unwrap();
            sender.send_many(&frame(&lab), 2).unwrap();
            assert_eq!(counted(&*ours, 2).of(Verdict::Drop), 2);
            drop(ours);
            assert_eq!(kernel.query_xdp(device.ifindex).unwrap().of(mode), None);
        }
    });
}

/// What the interface itself holds (netlink) is swapped in one step, and the slot is empty in the end.
#[test]
fn a_netlink_program_is_replaced_in_one_step() {
    if !require::veth("a_netlink_program_is_replaced_in_one_step") {
        return;
    }
    let lab = Lab::pair().unwrap();
    lab.near().namespace.run(|| {
        let (kernel, ifindex) = (kernel(), lab.near().ifindex);
        for (engine, mode) in ENGINES {
            let pass = [Insn::new(0xb7, 0, 0, 0, 2), Insn::new(0x95, 0, 0, 0, 0)];
            let spec = ProgramSpec { kind: 6, insns: &pass, ..ProgramSpec::default() };
            let theirs = kernel.load_program(&spec).unwrap();
            let id = kernel.program_info(theirs.as_fd()).unwrap().id;
            kernel.netlink_xdp(ifindex, Some(theirs.as_fd()), Some(mode), Expect::Empty).unwrap();
            let device = device(&kernel, "v0");
            let prepare = || engine.prepare(&kernel, &device, &job("drop", None)).unwrap();

            let error = prepare().attach(&AttachPolicy::default()).unwrap_err();
            assert_eq!(codes(&error), ["slot-held"]);
            let right = AttachPolicy { keep: None, replace: Some(id) };
            let mut ours = prepare().attach(&right).unwrap();
            let effective = ours.effective().unwrap();
            assert_eq!((effective.engine, effective.link_id), (engine.kind(), None));
            ours.replace(engine.prepare(&kernel, &device, &job("pass", None)).unwrap()).unwrap();
            assert_ne!(ours.effective().unwrap().program_id, effective.program_id);
            ours.detach().unwrap();
            assert_eq!(kernel.query_xdp(ifindex).unwrap().of(mode), None);
        }
    });
}

#[test]
fn the_other_mode_excludes() {
    if !require::veth("the_other_mode_excludes") {
        return;
    }
    let lab = Lab::pair().unwrap();
    lab.near().namespace.run(|| {
        let kernel = kernel();
        let [native, generic] = ENGINES.map(|(engine, _)| engine);
        for (first, second, code) in
            [(native, generic, "native-active"), (generic, native, "generic-active")]
        {
            let held = attach(first, "v0", &job("pass", None), &AttachPolicy::default());
            let host = LinuxHost::new(Arc::clone(&kernel));
            let device = host.device("v0").unwrap();
            let foreseen = registry()
                .plan(
                    &host,
                    &device,
                    &job("drop", None),
                    &Wishes { choice: Choice::only(second.kind()), ..Wishes::default() },
                )
                .unwrap();
            assert_eq!(foreseen.refusals[0].gaps[0].code, code);
            let prepared = second.prepare(&kernel, &device, &job("drop", None)).unwrap();
            let error = prepared.attach(&AttachPolicy::default()).unwrap_err();
            assert_eq!(codes(&error), [code]);
            drop(held);
        }
    });
}

/// Every program that comes with hoist loads in both modes, except those whose requirements say why
/// not.
#[test]
fn every_prebuilt_program_is_prepared_or_refused_beforehand() {
    if !require::veth("every_prebuilt_program_is_prepared_or_refused_beforehand") {
        return;
    }
    let lab = Lab::pair().unwrap();
    lab.near().namespace.run(|| {
        let kernel = kernel();
        let host = LinuxHost::new(Arc::clone(&kernel));
        let device = host.device("v0").unwrap();
        for prebuilt in programs::LIST {
            let module = Module::parse(prebuilt.name, prebuilt.object).unwrap();
            for program in &module.programs {
                let job = job(prebuilt.name, Some(&program.name));
                for (engine, _) in ENGINES {
                    let wishes =
                        Wishes { choice: Choice::only(engine.kind()), ..Wishes::default() };
                    let foreseen = registry().plan(&host, &device, &job, &wishes).unwrap();
                    let prepared = engine.prepare(&kernel, &device, &job);
                    let what = format!("{} {} {:?}", prebuilt.name, program.name, engine.kind());
                    // Before programs could be bound to a device nothing told what would happen.
                    let untold = prebuilt.name == "rx_hash" && !require::kernel(6, 3);
                    match (foreseen.engine, prepared) {
                        (Some(_), Ok(_)) | (None, _) => {}
                        (Some(_), Err(Error::Refused { .. })) if untold => {}
                        (Some(_), Err(Error::Refused { refusals, .. })) => {
                            panic!("{what}: refused without warning: {:?}", refusals[0].gaps[0])
                        }
                        (Some(_), Err(error)) => panic!("{what}: {error}"),
                    }
                }
            }
        }
    });
}

/// Frames really reach the tail-called program, which the loader put into the program array.
#[test]
fn program_arrays_start_filled() {
    if !require::veth("program_arrays_start_filled") {
        return;
    }
    let lab = Lab::pair().unwrap();
    let sender = Sender::open(lab.far()).unwrap();
    lab.near().namespace.run(|| {
        for (engine, _) in ENGINES {
            let job = job("tail_call", Some("xdp_tail_call"));
            let running = attach(engine, "v0", &job, &AttachPolicy::default());
            sender.send_many(&frame(&lab), 3).unwrap();
            let [near, far] = [1, 2].map(|n| Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, n));
            let v6 = Frame::eth(lab.far().mac, lab.near().mac).ipv6(far, near).udp(1, 2).bytes();
            sender.send_many(&v6, 2).unwrap();
            let stats = counted(&*running, 5);
            assert_eq!((stats.of(Verdict::Pass), stats.of(Verdict::Drop)), (3, 2), "{engine:?}");
        }
    });
}

const PACKAGED: &str = "/usr/lib/x86_64-linux-gnu/bpf";

/// The objects that Debian's xdp-tools and libxdp install, as they are, with counting: all of them
/// run in both modes.
#[test]
fn packaged_objects_run() {
    const OBJECTS: [&str; 13] = [
        "xdpfilt_alw_all.o",
        "xdpfilt_alw_eth.o",
        "xdpfilt_alw_ip.o",
        "xdpfilt_alw_tcp.o",
        "xdpfilt_alw_udp.o",
        "xdpfilt_dny_all.o",
        "xdpfilt_dny_eth.o",
        "xdpfilt_dny_ip.o",
        "xdpfilt_dny_tcp.o",
        "xdpfilt_dny_udp.o",
        "xsk_def_xdp_prog.o",
        "xsk_def_xdp_prog_5.3.o",
        "xdp-dispatcher.o",
    ];
    let files: Vec<PathBuf> = OBJECTS.iter().map(|o| Path::new(PACKAGED).join(o)).collect();
    let paths: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    if !require::veth_and_files("packaged_objects_run", &paths) {
        return;
    }
    let lab = Lab::pair().unwrap();
    lab.near().namespace.run(|| {
        let kernel = kernel();
        let host = LinuxHost::new(Arc::clone(&kernel));
        let device = host.device("v0").unwrap();
        for file in &files {
            let module = Module::parse(&file.display().to_string(), &std::fs::read(file).unwrap());
            let module = module.unwrap();
            for program in &module.programs {
                for (engine, _) in ENGINES {
                    let wishes =
                        Wishes { choice: Choice::only(engine.kind()), ..Wishes::default() };
                    let job = job_of(&module, Some(&program.name));
                    let attached = registry().attach(
                        &host,
                        &kernel,
                        &device,
                        &job,
                        &wishes,
                        &AttachPolicy::default(),
                    );
                    if let Err(error) = attached {
                        panic!("{} {} {}: {error:?}", file.display(), program.name, engine.kind());
                    }
                }
            }
        }
    });
}

/// Unmodified filters do what their map says. The names are those of the policy for what the map does
/// not hold: `alw` drops the addresses in it and passes others, `dny` passes only those in it.
#[test]
fn packaged_filters_do_what_their_map_says() {
    /// `MAP_FLAG_SRC` and the other low bits of xdp-filter's map values; the rest counts packets.
    const EVERY_FLAG: u64 = 0x3f;
    let filters = [("xdpfilt_alw_ip.o", (4, 3)), ("xdpfilt_dny_ip.o", (3, 4))];
    let files = filters.map(|(name, _)| Path::new(PACKAGED).join(name));
    let paths = [files[0].as_path(), files[1].as_path()];
    if !require::veth_and_files("packaged_filters_do_what_their_map_says", &paths) {
        return;
    }
    for ((name, (dropped, passed)), file) in filters.into_iter().zip(&files) {
        let module = Module::parse(name, &std::fs::read(file).unwrap()).unwrap();
        for (engine, _) in ENGINES {
            let lab = Lab::pair().unwrap();
            let (listed, sender) = (frame(&lab), Sender::open(lab.far()).unwrap());
            let other = Frame::eth(lab.far().mac, lab.near().mac)
                .ipv4(Ipv4Addr::new(10, 0, 0, 9), Lab::NEAR)
                .udp(1000, 2000)
                .bytes();
            let stack = Capture::open(lab.near()).unwrap();
            lab.near().namespace.run(|| {
                let policy = AttachPolicy::default();
                let running = attach(engine, "v0", &job_of(&module, None), &policy);
                let filter = running.map("filter_ipv4").unwrap();
                let cpus = kernel().possible_cpus().unwrap();
                filter.update(&Lab::FAR.octets(), &EVERY_FLAG.to_ne_bytes().repeat(cpus)).unwrap();
                sender.send_many(&listed, 4).unwrap();
                sender.send_many(&other, 3).unwrap();
                let stats = counted(&*running, 7);
                let verdicts = (stats.of(Verdict::Drop), stats.of(Verdict::Pass));
                assert_eq!(verdicts, (dropped, passed), "{name} {engine:?}");
                assert_eq!(stack.take(passed as usize).unwrap().len(), passed as usize);
                assert!(stack.next(MOMENT).unwrap().is_none(), "{name} {engine:?}");
            });
        }
    }
}
