//! From a file's bytes to requirements and to a program that can be loaded, without a kernel.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hoist_bpf::image::Image;
use hoist_bpf::parse::Selector;
use hoist_bpf::{Module, analysis, passes};

/// About 3,000 instructions; see its source beside it.
const LARGE: &[u8] = include_bytes!("objects/large.bpf.o");

fn parse(c: &mut Criterion) {
    let module = Module::parse("large.bpf.o", LARGE).expect("a valid object");
    let program = module.select(&Selector::default()).expect("a lone program");
    let instructions = Image::build(&module, program).expect("a consistent module").insns.len();
    let mut group = c.benchmark_group(format!("{instructions} instructions"));
    group.throughput(Throughput::Elements(instructions as u64));
    group.bench_function("parse", |b| b.iter(|| Module::parse("large.bpf.o", LARGE)));
    group.bench_function("parse and requirements", |b| {
        b.iter(|| {
            let module = Module::parse("large.bpf.o", LARGE).expect("a valid object");
            analysis::requirements(&module, program)
        });
    });
    group.bench_function("count verdicts", |b| b.iter(|| passes::count::apply(&module, program)));
    group.bench_function("build image", |b| b.iter(|| Image::build(&module, program)));
    group.finish();
}

criterion_group!(benches, parse);
criterion_main!(benches);
