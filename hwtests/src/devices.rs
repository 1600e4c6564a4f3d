//! Rows of docs/devices.md held against a live device: what it reports, and the MTU up to which it takes
//! a native program.
//!
//! The rows are of Linux 6.12, so that older kernels are not asked.

use hoist_drivers::table::{Entry, Limit, Whose};
use hoist_drivers::{DRIVERS, NATIVE};
use hoist_offload::device::XdpFeatures;
use hoist_offload::plan::Choice;
use hoist_offload::{Answer, AttachPolicy, Device, Engine as _, EngineKind, Error, Registry, When};

use crate::dut::{Dut, Failure};
use crate::lab::Port;

/// `ETH_MAX_MTU`: no device takes a larger one.
const LARGEST_MTU: u32 = 65_535;

/// The row of a device: the driver that claims it, of those that come with hoist.
///
/// # Errors
/// No driver claims it, or several do.
pub fn entry(device: &Device) -> Result<Entry, Failure> {
    let claiming: Vec<Entry> =
        DRIVERS.iter().filter(|driver| driver.claims(device)).map(|d| d.entry()).collect();
    match claiming.as_slice() {
        [one] => Ok(one.clone()),
        other => {
            let names: Vec<&str> = other.iter().map(|entry| entry.name).collect();
            Err(format!("{} is claimed by {names:?}, and not by one driver", device.name).into())
        }
    }
}

/// Every difference between a row and a device, each with the driver's name. `far` is the other end,
/// where the device is one of a pair. The MTU of both is changed and put back.
///
/// # Errors
/// The device could not be asked, or set.
pub fn differences(entry: &Entry, near: &Port, far: Option<&Port>) -> Result<Vec<String>, Failure> {
    let registry = Registry::new().engine(&NATIVE);
    let registry = DRIVERS.iter().fold(registry, |all, driver| all.driver(*driver));
    let bench = Bench { entry, near, far, dut: Dut::with(near, registry)? };
    let mut found = bench.reported()?;
    for limit in &entry.limits {
        found.extend(bench.limit(limit)?);
    }
    if entry.since.is_none() {
        found.extend(bench.without()?);
    }
    Ok(found.into_iter().map(|what| format!("{}: {what}", entry.name)).collect())
}

struct Bench<'a> {
    entry: &'a Entry,
    near: &'a Port,
    far: Option<&'a Port>,
    dut: Dut,
}

impl Bench<'_> {
    /// Features, without a program and with one.
    fn reported(&self) -> Result<Vec<String>, Failure> {
        let reports = &self.entry.reports;
        let mut found = Vec::new();
        found.extend(self.features("", reports.always)?);
        if self.entry.since.is_some() {
            match self.attach("pass", || {
                self.features(" while attached", reports.always | reports.attached)
            })? {
                Ok(differences) => found.extend(differences?),
                Err(why) => found.push(format!("a native program is refused: {why}")),
            }
        }
        Ok(found)
    }

    /// The features that the device reports, against those that it must and those that it may.
    fn features(&self, when: &str, must: XdpFeatures) -> Result<Option<String>, Failure> {
        let device = self.dut.device()?;
        let reported = device.xdp.value().ok_or("the kernel does not tell xdp-features")?.features;
        let may = must | self.entry.reports.sometimes;
        let (missing, beyond) = (must - reported, reported - may);
        let wrong = !missing.is_empty() || !beyond.is_empty();
        Ok(wrong.then(|| {
            format!(
                "xdp-features of {}{when} are {reported:?}; the table lacks {beyond:?} and has {missing:?} \
                 besides",
                device.name
            )
        }))
    }

    /// A program is taken at the limit, and one byte above it is not; hoist says the same beforehand.
    fn limit(&self, limit: &Limit) -> Result<Vec<String>, Failure> {
        let port = match limit.whose {
            Whose::Own => self.near,
            Whose::Peer => self.far.ok_or("the row speaks of a peer, and there is none")?,
        };
        let program = if limit.when == When::WithFrags { "frags" } else { "pass" };
        let before = port.mtu()?;
        let mut found = Vec::new();
        for (mtu, fits) in [(limit.most, true), (limit.most + 1, false)] {
            if port.set_mtu(mtu).is_err() {
                // No larger one is possible, so that there is nothing to refuse.
                if fits && mtu <= LARGEST_MTU {
                    found.push(format!("an MTU of {mtu} cannot be set on {}", port.name));
                }
                continue;
            }
            let taken = self.attach(program, || ())?;
            if taken.is_ok() != fits {
                let word = if fits { "refused" } else { "taken" };
                found
                    .push(format!("a program ({program}) is {word} at an MTU of {mtu}: {taken:?}"));
            }
            let plan =
                self.dut.plan(&self.dut.prebuilt(program)?, Choice::only(EngineKind::Native))?;
            if plan.engine.is_some() != fits {
                found.push(format!("at an MTU of {mtu} hoist plans {:?}", plan.engine));
            }
        }
        port.set_mtu(before)?;
        Ok(found)
    }

    /// The kernel refuses native programs, whatever hoist thinks.
    fn without(&self) -> Result<Vec<String>, Failure> {
        let mut found = Vec::new();
        if self.attach("pass", || ())?.is_ok() {
            found.push(format!("{} took a native program", self.near.name));
        }
        let device = self.dut.device()?;
        let known = self.dut.capabilities(&NATIVE, &device)?;
        if known.usable() != Answer::No {
            found.push(format!("hoist does not know that {} has no native XDP", device.name));
        }
        Ok(found)
    }

    /// Attaches natively past the planner, so that the kernel itself answers, and does something
    /// meanwhile; the kernel's refusal in its words.
    fn attach<T: Send>(
        &self,
        program: &str,
        meanwhile: impl FnOnce() -> T,
    ) -> Result<Result<T, String>, Failure> {
        let job = self.dut.prebuilt(program)?;
        let device = self.dut.device()?;
        let prepared = self.dut.inside(|| NATIVE.prepare(self.dut.kernel(), &device, &job))?;
        match self.dut.attach(prepared, &AttachPolicy::default()) {
            Ok(attached) => {
                let result = meanwhile();
                attached.detach()?;
                Ok(Ok(result))
            }
            Err(error @ Error::Refused { .. }) => Ok(Err(format!("{error:?}"))),
            Err(error) => Err(error.into()),
        }
    }
}
