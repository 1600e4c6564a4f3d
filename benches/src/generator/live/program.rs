//! Loading the program, and what it is told.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use hoist_bpf::Module;
use hoist_bpf::kernel::Kernel;
use hoist_bpf::kernel::loader::{self, ATTACH_TYPE_XDP, LoadSpec, PROG_TYPE_XDP};
use hoist_bpf::module::MapId;
use hoist_bpf::parse::Selector;

use super::state::State;
use super::{LiveError, Options};
use crate::meter::histogram::BUCKETS;
use crate::profile::{Frames, Ip};

const OBJECT: &[u8] = include_bytes!("../../../programs/live.bpf.o");

/// Bytes of a header in `struct shape`.
const HEADER: usize = 128;

/// `enum flags`.
mod flags {
    pub(super) const FRESH: u32 = 1;
    pub(super) const MIXED: u32 = 2;
    pub(super) const FLOWS: u32 = 4;
    pub(super) const STAMPED: u32 = 8;
    pub(super) const IPV6: u32 = 16;
    pub(super) const TUNNEL: u32 = 32;
}

/// Which of the two programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// As fast as it can.
    Flood,
    /// By a schedule.
    Paced,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Flood => "xdp_flood",
            Self::Paced => "xdp_paced",
        }
    }
}

/// A loaded program with its maps.
#[derive(Debug)]
pub(super) struct Program {
    program: OwnedFd,
    state: Arc<OwnedFd>,
    stop: Arc<OwnedFd>,
    lateness: Option<Arc<OwnedFd>>,
}

impl Program {
    pub(super) fn load(
        kernel: &dyn Kernel,
        kind: Kind,
        ifindex: u32,
        frames: &Frames,
        options: &Options,
    ) -> Result<Self, LiveError> {
        let broken = |why: &dyn std::fmt::Display| LiveError::Program(why.to_string());
        let mut module = Module::parse("live.bpf.o", OBJECT).map_err(|e| broken(&e))?;
        let selector = Selector { program: Some(kind.name().to_owned()), section: None };
        let program = module.select(&selector).map_err(|e| broken(&e))?;
        let places: BTreeMap<String, MapId> =
            (0..).zip(&module.maps).map(|(id, map)| (map.name.clone(), MapId(id))).collect();
        let place = |name: &str| {
            places.get(name).copied().ok_or_else(|| LiveError::Program(format!("no map {name}")))
        };
        let flows = frames.profile().flows();
        let map = |id: MapId| id.0 as usize;
        module.maps[map(place("flows")?)].max_entries = flows;
        let zero = || 0_u32.to_ne_bytes().to_vec();
        let keyed = |values: Vec<Vec<u8>>| {
            (0_u32..).zip(values).map(|(key, value)| (key.to_ne_bytes().to_vec(), value)).collect()
        };
        let mut contents = BTreeMap::new();
        let config = config(frames, options);
        contents.insert(place("out")?, keyed(vec![ifindex.to_ne_bytes().to_vec()]));
        contents.insert(place(".rodata")?, vec![(zero(), config)]);
        contents.insert(place("shapes")?, keyed(shapes(frames)));
        let order = frames.order().iter().map(|shape| shape.to_ne_bytes().to_vec()).collect();
        contents.insert(place("order")?, keyed(order));
        let spec = LoadSpec {
            module: &module,
            program,
            kind: PROG_TYPE_XDP,
            attach_type: ATTACH_TYPE_XDP,
            binding: None,
            pin_root: None,
            contents: &contents,
        };
        let loaded = loader::load(kernel, &spec).map_err(|e| broken(&e))?;
        let held = |name: &str| Ok::<_, LiveError>(loaded.maps.get(&place(name)?).cloned());
        let must = |name: &str| held(name)?.ok_or_else(|| broken(&format!("no map {name}")));
        if let (Some(map), true) = (held("flows")?, flows > 1) {
            let all: Vec<(Vec<u8>, Vec<u8>)> =
                (0..flows).map(|n| (n.to_ne_bytes().to_vec(), flow(frames, n))).collect();
            kernel.map_update_entries(map.as_fd(), &all)?;
        }
        let (state, stop, lateness) = (must(".bss")?, must(".data")?, held("lateness")?);
        Ok(Self { state, stop, lateness, program: loaded.program })
    }

    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.program.as_fd()
    }

    /// Puts everything back to where a run begins.
    pub(super) fn begin(
        &self,
        kernel: &dyn Kernel,
        state: &State,
        cpus: &[u32],
    ) -> Result<(), LiveError> {
        let zero = [0; 4];
        kernel.map_update(self.state.as_fd(), &zero, state.bytes(), 0)?;
        kernel.map_update(self.stop.as_fd(), &zero, &zero, 0)?;
        if let Some(lateness) = &self.lateness {
            for number in 0..u32::try_from(cpus.len()).unwrap_or(0) {
                let nothing = vec![0; 8 * BUCKETS];
                kernel.map_update(lateness.as_fd(), &number.to_ne_bytes(), &nothing, 0)?;
            }
        }
        Ok(())
    }

    /// Tells the program to send no more.
    pub(super) fn stop(&self, kernel: &dyn Kernel) -> Result<(), LiveError> {
        Ok(kernel.map_update(self.stop.as_fd(), &[0; 4], &1_u32.to_ne_bytes(), 0)?)
    }

    pub(super) fn state(&self, kernel: &dyn Kernel) -> Result<State, LiveError> {
        let bytes = kernel.map_lookup(self.state.as_fd(), &[0; 4], super::state::BYTES)?;
        bytes
            .and_then(State::read)
            .ok_or_else(|| LiveError::Program("its counters are not where they must be".to_owned()))
    }

    /// Frames by how late they were, of all processors.
    pub(super) fn lateness(
        &self,
        kernel: &dyn Kernel,
        cpus: &[u32],
    ) -> Result<Vec<u64>, LiveError> {
        let mut sum = vec![0_u64; BUCKETS];
        let Some(lateness) = &self.lateness else { return Ok(sum) };
        for number in 0..u32::try_from(cpus.len()).unwrap_or(0) {
            let key = number.to_ne_bytes();
            let value = kernel.map_lookup(lateness.as_fd(), &key, 8 * BUCKETS)?.unwrap_or_default();
            let counts = value.chunks_exact(8).filter_map(|c| c.first_chunk());
            for (sum, count) in sum.iter_mut().zip(counts) {
                *sum += u64::from_ne_bytes(*count);
            }
        }
        Ok(sum)
    }
}

/// The program's `config`.
fn config(frames: &Frames, options: &Options) -> Vec<u8> {
    let (profile, layout) = (frames.profile(), frames.layout());
    let (mixed, several) = (frames.shapes().len() > 1, profile.flows() > 1);
    let v6 = profile.ip == Ip::V6;
    let fresh = options.rewrite || mixed || several || (v6 && frames.stamped());
    let tunnel = several && layout.outer_port.is_some();
    let flags = [
        (fresh, flags::FRESH),
        (mixed, flags::MIXED),
        (several, flags::FLOWS),
        (frames.stamped(), flags::STAMPED),
        (v6, flags::IPV6),
        (tunnel, flags::TUNNEL),
    ];
    let set = flags.iter().filter(|(on, _)| *on).fold(0, |set, (_, flag)| set | flag);
    let short = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let words = [
        set,
        short(frames.longest().len()),
        short(layout.words()),
        short(layout.tuple.0),
        short(layout.tuple.1),
        short(layout.checksum),
        short(layout.outer_port.unwrap_or(0)),
        profile.flows(),
        short(frames.order().len()),
        profile.burst,
        u32::from(options.token),
        u32::from(options.stream),
    ];
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// Values of `struct shape`.
fn shapes(frames: &Frames) -> Vec<Vec<u8>> {
    let shapes = frames.shapes().iter();
    shapes
        .map(|shape| {
            let length = u32::try_from(shape.frame.len()).unwrap_or(0);
            let mut value = Vec::with_capacity(16 + HEADER);
            for word in [length, shape.sum, u32::from(shape.odd), 0] {
                value.extend(word.to_ne_bytes());
            }
            value.extend(shape.frame.iter().take(HEADER));
            value.resize(16 + HEADER, 0);
            value
        })
        .collect()
}

/// A value of `struct flow`.
fn flow(frames: &Frames, number: u32) -> Vec<u8> {
    let patch = frames.patch(number);
    let mut value = patch.tuple;
    value.resize(36, 0);
    value.extend(patch.sum.to_ne_bytes());
    value.extend(patch.outer_port);
    value.resize(48, 0);
    value
}
