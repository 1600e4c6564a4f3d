//! Every program of the corpus in each of its forms, one after the other, by test run. For ratios
//! take `hoist-compare test-run`, which takes the forms in turn.

use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use hoist_benches::test_run::{Column, cases, prepare};
use hoist_bpf::kernel::{Kernel, Linux};
use hoist_hwtests::require;

fn corpus(c: &mut Criterion) {
    if !require::veth("test_run") {
        return;
    }
    let kernel: Arc<dyn Kernel> = Arc::new(Linux::new().expect("a kernel with BPF"));
    for case in cases() {
        let mut group = c.benchmark_group(case.title());
        for column in Column::ALL {
            let mut side = prepare(&kernel, &case, column).expect("a program that runs");
            group.bench_function(column.name(), |b| {
                b.iter_custom(|runs| side.time(runs).expect("a program that goes on running"));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, corpus);
criterion_main!(benches);
