//! The userspace machine, interpreted and compiled, beside rbpf (feature `rbpf`) and the kernel (as
//! root, by test run; the program `trivial` there is the loop's own cost, to be subtracted).
//!
//! All run the same bytecode on the same frame.

mod kernel;
mod ours;
mod programs;
#[cfg(feature = "rbpf")]
mod rbpf;
mod time;

use criterion::{Criterion, criterion_group, criterion_main};
use time::CpuTime;

fn run(c: &mut Criterion<CpuTime>) {
    for program in programs::all() {
        let mut group = c.benchmark_group(program.name);
        ours::run(&mut group, &program);
        #[cfg(feature = "rbpf")]
        rbpf::run(&mut group, &program);
        kernel::run(&mut group, &program);
        group.finish();
    }
}

fn load(c: &mut Criterion<CpuTime>) {
    let mut group = c.benchmark_group("load");
    ours::load(&mut group);
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(CpuTime);
    targets = run, load
}
criterion_main!(benches);
