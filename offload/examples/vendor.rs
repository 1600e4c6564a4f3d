//! A NIC vendor's crate in one file: an engine that runs programs in the NIC, and the knowledge of
//! its driver. It depends on `hoist-offload` alone, without its default features.
//!
//! The engine here keeps the program in its own memory instead of a NIC's, so that the example runs
//! anywhere: `cargo run -p hoist-offload --example vendor --no-default-features`.

use std::error;
use std::sync::Arc;

use hoist_offload::attach::Effective;
use hoist_offload::bpf::image::Image;
use hoist_offload::bpf::kernel::{Fake, Kernel};
use hoist_offload::bpf::requirements::{Feature, LimitKind, Need};
use hoist_offload::bpf::{Module, Selector, programs};
use hoist_offload::error::Refusal;
use hoist_offload::host::{FakeHost, sample};
use hoist_offload::plan::{Choice, Wishes};
use hoist_offload::{
    Answer, AttachPolicy, Attachment, Capabilities, Condition, Device, Driver, Engine, EngineKind,
    Error, Evidence, Gap, Hook, Host, Job, MapHandle, Prepared, Registry, Stats,
};

/// Instructions that the NIC's code store holds.
const CODE_STORE: u64 = 64;
/// The firmware, major and minor, from which on it takes programs.
const FIRMWARE: (u32, u32) = (4, 20);

/// The NIC's own processors.
#[derive(Debug)]
struct AcmeEngine;

static ENGINE: AcmeEngine = AcmeEngine;

impl Engine for AcmeEngine {
    fn kind(&self) -> EngineKind {
        EngineKind::Hw
    }

    fn provider(&self) -> &str {
        "acme"
    }

    fn hook(&self) -> Hook {
        Hook::Xdp
    }

    fn capabilities(&self, _: &dyn Host, device: &Device) -> Result<Capabilities, Error> {
        let mut known = Capabilities::new(self.kind(), self.provider());
        // Every engine sees every device, and answers for those of others too.
        let ours = if DRIVER.claims(device) { Answer::Yes } else { Answer::No };
        known.conditions.push(Condition::new(
            "not-acme",
            ours,
            format!("{} is driven by {}", device.name, device.driver_name()),
            Evidence::kernel("ethtool drvinfo"),
        ));
        let manual = || Evidence::driver("ACME 100G programmer's manual, 3.2");
        known.set(Need::Limit(LimitKind::Instructions, CODE_STORE), Answer::Yes, manual());
        known.set(Need::Isa(3), Answer::Yes, manual());
        known.set(Need::Feature(Feature::Redirect), Answer::No, manual());
        Ok(known)
    }

    /// What could be foreseen was asked before; here only the NIC itself refuses.
    fn prepare(
        &self,
        _: &Arc<dyn Kernel>,
        device: &Device,
        job: &Job,
    ) -> Result<Box<dyn Prepared>, Error> {
        let image = Image::build(&job.module, job.program).map_err(|error| {
            refuse(&device.name, job, Gap::new("not-loadable", error.to_string()))
        })?;
        if !image.references.is_empty() {
            let gap =
                Gap::new("no-maps", "the NIC has no memory for maps").remedy("use --engine native");
            return Err(refuse(&device.name, job, gap));
        }
        Ok(Box::new(Loaded { ifindex: device.ifindex, slots: image.insns.len() }))
    }
}

fn refuse(device: &str, job: &Job, gap: Gap) -> Error {
    let refusal = Refusal {
        engine: ENGINE.kind(),
        hook: Some(ENGINE.hook()),
        provider: ENGINE.provider().to_owned(),
        gaps: vec![gap],
    };
    Error::Refused {
        device: device.to_owned(),
        program: job.program_name().to_owned(),
        refusals: vec![refusal],
    }
}

/// A program in the NIC, attached or not.
#[derive(Debug)]
struct Loaded {
    ifindex: u32,
    slots: usize,
}

impl Prepared for Loaded {
    fn engine(&self) -> EngineKind {
        ENGINE.kind()
    }

    fn map(&self, _: &str) -> Option<MapHandle> {
        None
    }

    fn maps(&self) -> Vec<MapHandle> {
        Vec::new()
    }

    fn attach(self: Box<Self>, policy: &AttachPolicy) -> Result<Box<dyn Attachment>, Error> {
        if policy.keep.is_some() {
            return Err(Error::Input {
                what: "an ACME NIC forgets its program with the process".to_owned(),
                hint: Some("use hoist run".to_owned()),
            });
        }
        println!("{} instructions go to interface {}", self.slots, self.ifindex);
        Ok(self)
    }
}

impl Attachment for Loaded {
    fn effective(&self) -> Result<Effective, Error> {
        let (engine, hook) = (ENGINE.kind(), ENGINE.hook());
        Ok(Effective { engine, hook, program_id: 1, link_id: None })
    }

    fn engine(&self) -> EngineKind {
        ENGINE.kind()
    }

    fn ifindex(&self) -> u32 {
        self.ifindex
    }

    fn map(&self, _: &str) -> Option<MapHandle> {
        None
    }

    fn maps(&self) -> Vec<MapHandle> {
        Vec::new()
    }

    fn stats(&self) -> Result<Option<Stats>, Error> {
        Ok(None)
    }

    fn replace(&mut self, next: Box<dyn Prepared>) -> Result<(), Error> {
        let next: Box<dyn std::any::Any> = next;
        match next.downcast::<Self>() {
            Ok(next) if next.ifindex == self.ifindex => {
                self.slots = next.slots;
                Ok(())
            }
            _ => Err(Error::Input {
                what: "the new program was prepared for another device".to_owned(),
                hint: Some("prepare it for this one".to_owned()),
            }),
        }
    }

    fn detach(self: Box<Self>) -> Result<(), Error> {
        Ok(())
    }

    fn release(self: Box<Self>) {}
}

/// What ACME knows of its kernel driver.
#[derive(Debug)]
struct AcmeDriver;

static DRIVER: AcmeDriver = AcmeDriver;

impl Driver for AcmeDriver {
    fn name(&self) -> &'static str {
        "acme100g"
    }

    fn refine(&self, device: &Device, known: &mut Capabilities) {
        if known.provider != ENGINE.provider() {
            return;
        }
        let (major, minor) = FIRMWARE;
        let (holds, has) = match device.firmware.as_deref() {
            None => (Answer::Unknown, "of which nothing is known"),
            Some(text) => (new_enough(text), text),
        };
        known.conditions.push(
            Condition::new(
                "firmware-too-old",
                holds,
                format!("programs take firmware {major}.{minor}; {} has {has}", device.name),
                Evidence::kernel("ethtool drvinfo"),
            )
            .remedy(format!("flash it: ethtool -f {} acme.bin", device.name)),
        );
    }

    fn engines(&self) -> Vec<&'static dyn Engine> {
        vec![&ENGINE]
    }
}

/// What cannot be read is not known, which is not "no".
fn new_enough(firmware: &str) -> Answer {
    let version = firmware
        .split_once('.')
        .and_then(|(major, minor)| Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?)));
    match version {
        None => Answer::Unknown,
        Some(version) if version >= FIRMWARE => Answer::Yes,
        Some(_) => Answer::No,
    }
}

/// A vendor's own `hoist` hands this registry to `hoist::cli::main`.
fn main() -> Result<(), Box<dyn error::Error>> {
    let registry = Registry::new().driver(&DRIVER);
    let kernel: Arc<dyn Kernel> = Arc::new(Fake::new());
    let device = |firmware: &str| Device {
        driver: hoist_offload::Fact::kernel(DRIVER.name().to_owned(), "example"),
        firmware: Some(firmware.to_owned()),
        ..sample::ice("acme0", 3)
    };
    let wishes = Wishes { choice: Choice::only(EngineKind::Hw), ..Wishes::default() };
    for (firmware, object, fits) in [
        ("4.20", "drop", true),
        ("4.9", "drop", false),
        ("4.20", "redirect", false),
        ("4.20", "lpm_block", false),
    ] {
        let device = device(firmware);
        let host = FakeHost::with_devices(vec![device.clone()]);
        let job = job(object)?;
        let policy = AttachPolicy::default();
        match registry.attach(&host, &kernel, &device, &job, &wishes, &policy) {
            Ok((plan, running)) => {
                assert!(fits, "{object} on firmware {firmware}: {plan:?}");
                running.detach()?;
            }
            Err(Error::Refused { refusals, .. }) => {
                assert!(!fits, "{object} on firmware {firmware}: {refusals:?}");
                for gap in refusals.iter().flat_map(|r| &r.gaps) {
                    println!("{object} on firmware {firmware}: {}: {gap}", gap.code);
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn job(object: &str) -> Result<Job, Box<dyn error::Error>> {
    let prebuilt = programs::get(object).ok_or("no such program")?;
    let module = Module::parse(object, prebuilt.object)?;
    let program = module.select(&Selector::default())?;
    Ok(Job::new(module, program))
}

#[test]
fn the_example_does_as_it_says() -> Result<(), Box<dyn error::Error>> {
    main()
}
