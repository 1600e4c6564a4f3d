use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use hoist_bpf::kernel::fake::FakeInterface;
use hoist_bpf::kernel::{Fake, KernelError};
use hoist_bpf::{Module, Selector, analysis, programs};
use hoist_offload::AttachPolicy;
use hoist_offload::host::sample;

use super::*;

fn job(object: &str) -> Job {
    let module = Module::parse(object, programs::get(object).unwrap().object).unwrap();
    let program = module.select(&Selector::default()).unwrap();
    Job {
        requirements: analysis::requirements(&module, program),
        module: Arc::new(module),
        program,
        count_verdicts: true,
        pin_root: None,
        contents: BTreeMap::new(),
        merged: Default::default(),
        accept: Default::default(),
        card: None,
    }
}

fn machine() -> (Arc<Fake>, Arc<dyn Kernel>, Device) {
    let fake = Arc::new(Fake::new());
    fake.add_interface(FakeInterface::new(3, "eth0"));
    (Arc::clone(&fake), fake, sample::ice("eth0", 3))
}

/// What runs at a hook of the interface.
fn there(kernel: &dyn Kernel, engine: TcEngine) -> Vec<u32> {
    match engine.hook {
        Hook::Tcx => kernel.query_tcx(3, TCX_INGRESS).unwrap(),
        _ => kernel.filters(3).unwrap().iter().filter_map(|f| f.program_id).collect(),
    }
}

#[test]
fn a_program_goes_first_shows_its_own_maps_only_and_leaves_nothing() {
    for engine in [TCX, CLSACT] {
        let (_, kernel, device) = machine();
        let prepare = |object| engine.prepare(&kernel, &device, &job(object)).unwrap();
        let mut running = prepare("count_proto").attach(&AttachPolicy::default()).unwrap();
        let effective = running.effective().unwrap();
        assert_eq!((effective.engine, effective.hook), (EngineKind::Tc, engine.hook));
        assert_eq!(there(&*kernel, engine), [effective.program_id]);
        let names: Vec<String> = running.maps().iter().map(|m| m.def().name.clone()).collect();
        assert_eq!(names, ["protocols"]);
        assert!(running.stats().unwrap().is_some());

        running.replace(prepare("pass")).unwrap();
        let replaced = running.effective().unwrap().program_id;
        assert_eq!(there(&*kernel, engine), [replaced]);
        running.detach().unwrap();
        assert_eq!(there(&*kernel, engine), [] as [u32; 0]);
        assert!(kernel.add_clsact(3).unwrap(), "{engine:?}: the qdisc is left");
    }
}

#[test]
fn what_cannot_stay_is_taken_off_again() {
    for engine in [TCX, CLSACT] {
        let (fake, kernel, device) = machine();
        let keep = Some(kernel.bpffs("hoist").unwrap());
        let policy = AttachPolicy { keep, ..AttachPolicy::default() };
        let prepared = engine.prepare(&kernel, &device, &job("pass")).unwrap();
        fake.fail_next(KernelError::new("BPF_OBJ_PIN", "it", 28));
        let error = prepared.attach(&policy).unwrap_err();
        assert!(error.to_string().contains("BPF_OBJ_PIN"), "{error}");
        assert_eq!(there(&*kernel, engine), [] as [u32; 0]);
        assert!(kernel.add_clsact(3).unwrap(), "{engine:?}: the qdisc is left");
    }
}

/// A verifier that gives up on functions followed from their callers gets them one by one.
#[test]
fn what_is_too_complex_is_tried_in_another_form() {
    static REFUSED: AtomicBool = AtomicBool::new(false);
    let (fake, kernel, device) = machine();
    fake.verify_with(|spec| {
        if spec.name == "xdp_subprog" && !REFUSED.swap(true, Ordering::Relaxed) {
            return Err(KernelError::new("BPF_PROG_LOAD", "xdp_subprog", E2BIG));
        }
        Ok(())
    });
    TCX.prepare(&kernel, &device, &job("subprog")).unwrap();
    assert!(REFUSED.load(Ordering::Relaxed), "the first form was refused");
}

/// A verifier that takes no moved pointers gets a runtime that moves them by constants only; what it
/// says to that is not what the user reads.
#[test]
fn what_needs_a_capability_is_tried_without() {
    static LOADS: AtomicUsize = AtomicUsize::new(0);
    let said = |log: &str| KernelError {
        log: Some(log.to_owned()),
        ..KernelError::new("BPF_PROG_LOAD", "xdp_acl", 13)
    };
    let pointers = "R1 has pointer, pointer arithmetic with it prohibited for !root";
    for (second, taken) in [(None, true), (Some("R2 something else"), false)] {
        let (fake, kernel, device) = machine();
        LOADS.store(0, Ordering::Relaxed);
        fake.verify_with(move |spec| match (spec.name.as_str(), second) {
            ("xdp_acl", _) if LOADS.fetch_add(1, Ordering::Relaxed) == 0 => Err(said(pointers)),
            ("xdp_acl", Some(second)) => Err(said(second)),
            _ => Ok(()),
        });
        let prepared = TCX.prepare(&kernel, &device, &job("acl"));
        assert_eq!(LOADS.load(Ordering::Relaxed), 2);
        assert_eq!(prepared.is_ok(), taken);
        if let Err(error) = prepared {
            assert!(format!("{error:?}").contains("!root"), "{error:?}");
        }
    }
}

#[test]
fn entries_with_programs_are_refused_with_every_other_reason() {
    let mut job = job("redirect_devmap");
    let (index, map) = job.module.maps.iter().enumerate().find(|(_, m)| m.name == "ports").unwrap();
    let value = [3_u32.to_ne_bytes(), 9_u32.to_ne_bytes()].concat();
    assert_eq!(map.kind, 14);
    job.contents.insert(MapId(index as u32), vec![(vec![0; 4], value)]);
    let codes: Vec<String> =
        TCX.examine(&sample::ice("eth0", 3), &job).into_iter().map(|gap| gap.code).collect();
    assert_eq!(codes, ["map-entry-program"]);
}

#[test]
fn hardware_addresses_have_six_bytes() {
    let device = |mac: &str| Device { mac: Some(mac.to_owned()), ..sample::ice("eth0", 3) };
    let cases = [
        ("02:00:00:00:00:0a", Some([2, 0, 0, 0, 0, 10])),
        ("02:00:00:00:00", None),
        ("02:00:00:00:00:0a:0b", None),
        ("80:00:02:08:fe:80:00:00:00:00:00:00:00:02:c9:03:00:00:10:3b", None),
        ("", None),
    ];
    for (text, expected) in cases {
        assert_eq!(device(text).address(), expected, "{text}");
    }
}

#[test]
fn merged_frames_are_what_the_job_says() {
    use hoist_offload::engine::Merged;
    let form = |merged| {
        let job = Job { merged, ..job("pass") };
        format!("{:?}", TCX.translated(&job, Options::default()).unwrap().module)
    };
    assert_eq!(form(Merged::Run), form(Merged::Run));
    assert_ne!(form(Merged::Run), form(Merged::Drop));
}
