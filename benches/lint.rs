//! From an object to a card's verdict: lowering and every rule of the card, without a kernel.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hoist_bpf::image::Image;
use hoist_bpf::module::ProgramId;
use hoist_bpf::parse::Selector;
use hoist_bpf::{Module, programs};
use hoist_drivers::nic::nfp;
use hoist_offload::profile::Wishes;

/// About 3,000 instructions; see its source beside it.
const LARGE: &[u8] = include_bytes!("objects/large.bpf.o");

fn parse(name: &str, object: &[u8], program: Option<String>) -> (Module, ProgramId) {
    let module = Module::parse(name, object).expect("a valid object");
    let selector = Selector { program, section: None };
    let program = module.select(&selector).expect("the program");
    (module, program)
}

fn large(c: &mut Criterion) {
    let (module, program) = parse("large.bpf.o", LARGE, None);
    let instructions = Image::build(&module, program).expect("a consistent module").insns.len();
    let (profile, wishes) = (&*nfp::PROFILE, Wishes::default());
    let mut group = c.benchmark_group(format!("{instructions} instructions"));
    group.throughput(Throughput::Elements(instructions as u64));
    group.bench_function("check the rules of nfp", |b| {
        b.iter(|| profile.inspect(&module, program, &wishes.parameters));
    });
    group.bench_function("lower and check", |b| {
        b.iter(|| profile.judge(&module, program, &wishes));
    });
    group.bench_function("parse, lower and check", |b| {
        b.iter(|| {
            let (module, program) = parse("large.bpf.o", LARGE, None);
            profile.judge(&module, program, &wishes)
        });
    });
    group.finish();
}

fn corpus(c: &mut Criterion) {
    let wishes = Wishes::default();
    let all: Vec<(Module, ProgramId)> =
        programs::LIST.iter().map(|p| parse(p.name, p.object, Some(p.program()))).collect();
    c.bench_function(&format!("lower and check the {} programs of the corpus", all.len()), |b| {
        b.iter(|| {
            for (module, program) in &all {
                black_box(nfp::PROFILE.judge(module, *program, &wishes));
            }
        });
    });
}

criterion_group!(benches, large, corpus);
criterion_main!(benches);
