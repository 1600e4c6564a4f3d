//! The kernel's own compiler, by test run.

use std::sync::Arc;

use criterion::BenchmarkGroup;
use hoist_benches::test_run::{Kind, Runs, Side, Source, Verdict};
use hoist_bpf::kernel::{Kernel, Linux};
use hoist_hwtests::require;

use crate::programs::Program;
use crate::time::CpuTime;

pub(crate) fn run(group: &mut BenchmarkGroup<'_, CpuTime>, program: &Program) {
    if !require::veth("vm") {
        return;
    }
    let kernel: Arc<dyn Kernel> = Arc::new(Linux::new().expect("a kernel with BPF"));
    let (module, id) = program.module();
    let flows = program.flows.iter().map(|(key, value)| ("flows", key.clone(), value.clone()));
    let flows: Vec<_> = flows.collect();
    let source = Source::module(module, id, Kind::Xdp, &flows).expect("maps to fill");
    let runs = if program.forwards { Runs::UpTo(60) } else { Runs::Many };
    let expected = match program.verdict {
        hoist_offload::Verdict::Drop => Verdict::Drop,
        hoist_offload::Verdict::Tx => Verdict::Out,
        _ => Verdict::Pass,
    };
    let mut side = Side::new(kernel, source, program.frame.clone(), runs, expected)
        .expect("a program that the kernel takes");
    group.bench_function("kernel", |b| {
        b.iter_custom(|runs| side.time(runs).expect("a program that goes on running"));
    });
}
