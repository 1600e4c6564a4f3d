//! From an XDP program to one for TC ingress, without a kernel.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hoist_benches::forms;
use hoist_bpf::image::Image;
use hoist_bpf::module::ProgramId;
use hoist_bpf::parse::Selector;
use hoist_bpf::{Module, programs};
use hoist_fallback::tc::translate::{Options, translate};

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
    let options = Options { count: true, ..Options::default() };
    let mut group = c.benchmark_group(format!("{instructions} instructions"));
    group.throughput(Throughput::Elements(instructions as u64));
    group.bench_function("translate", |b| {
        b.iter(|| translate(&module, program, &options).expect("a program for TC"));
    });
    group.bench_function("parse, translate and build image", |b| {
        b.iter(|| {
            let (module, program) = parse("large.bpf.o", LARGE, None);
            let translated = translate(&module, program, &options).expect("a program for TC");
            Image::build(&translated.module, translated.program).expect("a consistent module")
        });
    });
    group.finish();
}

fn corpus(c: &mut Criterion) {
    let options = Options { count: true, ..Options::default() };
    let translatable: Vec<(Module, ProgramId)> = programs::LIST
        .iter()
        .filter(|program| forms::WITHOUT.iter().all(|(name, _)| *name != program.name))
        .map(|program| parse(program.name, program.object, Some(program.program())))
        .collect();
    c.bench_function(
        &format!("translate the {} programs of the corpus", translatable.len()),
        |b| {
            b.iter(|| {
                for (module, program) in &translatable {
                    translate(module, *program, &options).expect("a program for TC");
                }
            });
        },
    );
}

criterion_group!(benches, large, corpus);
criterion_main!(benches);
