//! Choosing an engine from facts: what a controller does for every interface of every host it knows.

use std::collections::BTreeMap;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use hoist_bpf::parse::Selector;
use hoist_bpf::{Module, analysis, programs};
use hoist_offload::host::{FakeHost, sample};
use hoist_offload::plan::Wishes;
use hoist_offload::{Device, Host, Job, Registry};

fn registry() -> Registry {
    let engines = hoist_drivers::ENGINES.iter().chain(hoist_fallback::ENGINES);
    let registry = engines.fold(Registry::new(), |registry, engine| registry.engine(*engine));
    hoist_drivers::DRIVERS.iter().fold(registry, |registry, driver| registry.driver(*driver))
}

fn job(name: &str) -> Job {
    let object = programs::get(name).expect("a program that comes with hoist").object;
    let module = Module::parse(name, object).expect("a valid object");
    let program = module.select(&Selector::default()).expect("a lone program");
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

fn plan(c: &mut Criterion) {
    let [veth, _] = sample::veth_pair("v0", "v1");
    let cards = [sample::mlx5("mlx", 2), sample::ice("ice", 3), sample::virtio("virtio", 4), veth];
    let host = FakeHost::with_devices(cards.to_vec());
    let devices: Vec<Device> =
        cards.iter().map(|d| host.device(&d.name).expect("a device of the host")).collect();
    let (registry, job, wishes) = (registry(), job("acl"), Wishes::default());
    c.bench_function("plan one program on four cards", |b| {
        b.iter(|| {
            for device in &devices {
                registry.plan(&host, device, &job, &wishes).expect("a host that answers");
            }
        });
    });
}

criterion_group!(benches, plan);
criterion_main!(benches);
