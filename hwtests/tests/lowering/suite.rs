//! The conformance suite on the native engine with every program lowered that can be: what the cases
//! expect of native XDP holds of the lowered forms.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use hoist_bpf::analysis;
use hoist_bpf::kernel::{Kernel, Linux};
use hoist_bpf::passes::lower::lower;
use hoist_drivers::native::NATIVE;
use hoist_hwtests::conformance::report::Evidence;
use hoist_hwtests::conformance::{Options, run_with, suite};
use hoist_hwtests::fuzz::lowered;
use hoist_hwtests::require;
use hoist_offload::{
    Capabilities, Device, Engine, EngineKind, Error, Hook, Host, Job, Prepared, Wanted,
};

/// Native XDP, with programs lowered first.
#[derive(Debug, Default)]
struct Lowering {
    /// Programs that were lowered, with how many rewrites.
    lowered: Mutex<BTreeMap<String, usize>>,
    /// Times that a program could not be.
    left: AtomicUsize,
}

impl Engine for Lowering {
    fn kind(&self) -> EngineKind {
        EngineKind::Native
    }

    fn hook(&self) -> Hook {
        Hook::Xdp
    }

    fn capabilities(&self, host: &dyn Host, device: &Device) -> Result<Capabilities, Error> {
        NATIVE.capabilities(host, device)
    }

    fn prepare(
        &self,
        kernel: &Arc<dyn Kernel>,
        device: &Device,
        job: &Job,
    ) -> Result<Box<dyn Prepared>, Error> {
        let Ok(lowered) = lower(&job.module, job.program, &lowered::card()) else {
            self.left.fetch_add(1, Ordering::Relaxed);
            return NATIVE.prepare(kernel, device, job);
        };
        self.lowered
            .lock()
            .unwrap()
            .insert(format!("{} {}", job.module.name, job.program_name()), lowered.changes.len());
        let linux = Linux::new().unwrap();
        let job = Job {
            requirements: analysis::requirements(&lowered.module, lowered.program),
            contents: lowered::contents(&linux, &lowered.module, &job.contents).unwrap(),
            module: Arc::new(lowered.module),
            ..job.clone()
        };
        NATIVE.prepare(kernel, device, &job)
    }
}

#[test]
fn lowered_programs_pass_the_conformance_suite() {
    if !require::veth("lowered_programs_pass_the_conformance_suite") {
        return;
    }
    let engine: &'static Lowering = Box::leak(Box::default());
    let sources = suite::builtin().unwrap();
    let options = Options {
        engines: vec![Wanted::at(EngineKind::Native, Hook::Xdp)],
        evidence: vec![Evidence::TestRun],
        given: None,
    };
    let report =
        run_with(Some(&[engine]), &sources, &options, &mut |_| ControlFlow::Continue(())).unwrap();
    let wrong: Vec<_> =
        report.results.iter().filter(|result| !result.outcome.is_explained()).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let lowered = engine.lowered.lock().unwrap();
    println!("{lowered:#?}, {} times left as it is", engine.left.load(Ordering::Relaxed));
    let rewritten = lowered.values().filter(|&&changes| changes > 0).count();
    assert!(rewritten >= 12, "{lowered:#?}");
}
