//! Programs that come with hoist, and those that Debian packages.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hoist_bpf::{Module, programs};
use hoist_hwtests::capture::Sender;
use hoist_hwtests::frame::Frame;
use hoist_hwtests::lab::Lab;
use hoist_hwtests::require;
use hoist_offload::host::LinuxHost;
use hoist_offload::plan::{Choice, Wanted, Wishes};
use hoist_offload::{AttachPolicy, EngineKind, Error, Host, Verdict};

use crate::support::*;

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
                for (engine, _) in engines() {
                    let wishes = Wishes {
                        choice: Choice::only(Wanted::at(engine.kind(), engine.hook())),
                        ..Wishes::default()
                    };
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
        for (engine, _) in engines() {
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
                for (engine, _) in engines() {
                    let wishes = Wishes {
                        choice: Choice::only(Wanted::at(engine.kind(), engine.hook())),
                        ..Wishes::default()
                    };
                    let job = job_of(&module, Some(&program.name));
                    let attached = registry().attach(
                        &host,
                        &kernel,
                        &device,
                        &job,
                        &wishes,
                        &AttachPolicy::default(),
                    );
                    let what = format!("{} {} {engine:?}", file.display(), program.name);
                    match attached {
                        Ok(_) => {}
                        // Nothing at TC delivers to AF_XDP sockets.
                        Err(error) if engine.kind() == EngineKind::Tc && what.contains("/xsk_") => {
                            assert_eq!(codes(&error), ["missing-map-type"], "{what}");
                            let Error::Refused { refusals, .. } = &error else { continue };
                            let gap = &refusals[0].gaps[0];
                            assert!(gap.message.contains("xskmap"), "{what}: {}", gap.message);
                        }
                        Err(error) => panic!("{what}: {error:?}"),
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
        for (engine, _) in engines() {
            let lab = Lab::pair().unwrap();
            let (listed, sender) = (frame(&lab), Sender::open(lab.far()).unwrap());
            let other = Frame::eth(lab.far().mac, lab.near().mac)
                .ipv4(Ipv4Addr::new(10, 0, 0, 9), Lab::NEAR)
                .udp(1000, 2000)
                .bytes();
            let stack = stack(&lab);
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
