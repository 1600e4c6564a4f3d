//! The userspace machine.

use std::hint::black_box;
use std::sync::Arc;

use criterion::BenchmarkGroup;
use hoist_bpf::Module;
use hoist_bpf::module::{MapId, ProgramId};
use hoist_fallback::userspace::vm::compiled::When;
use hoist_fallback::userspace::vm::{Arrival, Frame, Machine, Options};

use crate::programs::{Program, TTL};
use crate::time::{self, CpuTime};

const HEADROOM: usize = Frame::HEADROOM as usize;

fn machine(module: &Arc<Module>, program: ProgramId, compile: When) -> Machine {
    let options = Options { compile, ..Options::default() };
    Machine::new(module, program, &options).expect("a program that the machine takes")
}

fn filled(program: &Program, compile: When) -> Machine {
    let (module, id) = program.module();
    let flows = module.maps.iter().position(|map| map.name == "flows");
    let mut machine = machine(&Arc::new(module), id, compile);
    for (key, value) in &program.flows {
        let map = MapId(flows.expect("a map of flows") as u32);
        machine.maps_mut().user().update(map, key, value, 0).expect("room for an entry");
    }
    machine
}

pub(crate) fn run(group: &mut BenchmarkGroup<'_, CpuTime>, program: &Program) {
    for (name, compile) in [("interpreted", When::Never), ("compiled", When::First)] {
        let mut machine = filled(program, compile);
        if compile == When::First {
            machine.wait_compiled().expect("machine code");
        }
        let mut buffer = vec![0; 2048];
        let length = program.frame.len();
        buffer[HEADROOM..HEADROOM + length].copy_from_slice(&program.frame);
        let arrival = Arrival::default();
        let ran = machine.run(&mut Frame::new(&mut buffer, length as u32), &arrival);
        assert_eq!((ran.verdict, ran.fault), (program.verdict, None), "{}", program.name);
        group.bench_function(name, |b| {
            b.iter(|| {
                if program.forwards {
                    buffer[HEADROOM + TTL] = 64;
                }
                let mut frame = Frame::new(&mut buffer, length as u32);
                black_box(machine.run(&mut frame, &arrival).code)
            });
        });
    }
}

/// From a parsed object of 2,997 instructions to a verdict, and to machine code; and from the small
/// ones.
pub(crate) fn load(group: &mut BenchmarkGroup<'_, CpuTime>) {
    let large = crate::programs::all().pop().expect("the largest");
    let (module, program) = large.module();
    let module = Arc::new(module);
    let mut buffer = vec![0; 2048];
    buffer[HEADROOM..HEADROOM + large.frame.len()].copy_from_slice(&large.frame);
    group.sample_size(20);
    group.bench_function("first result", |b| {
        b.iter_custom(|count| {
            let mut total = std::time::Duration::ZERO;
            for _ in 0..count {
                let start = time::now();
                let mut machine = machine(&module, program, When::Meanwhile);
                let mut frame = Frame::new(&mut buffer, large.frame.len() as u32);
                black_box(machine.run(&mut frame, &Arrival::default()).code);
                total += time::now() - start;
                // So that the next does not share the processor with this one's compiler.
                machine.wait_compiled().expect("machine code");
            }
            total
        });
    });
    group.bench_function("machine code", |b| {
        b.iter(|| machine(&module, program, When::First).wait_compiled());
    });
    for small in crate::programs::all().iter().filter(|program| program.name != large.name) {
        let (module, program) = small.module();
        let module = Arc::new(module);
        group.bench_function(format!("machine code of {}", small.name), |b| {
            b.iter(|| machine(&module, program, When::First).wait_compiled());
        });
    }
}
