//! Traffic for a place: which frames, made by which processors.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use hoist_bpf::kernel::Kernel;
use hoist_hwtests::lab::Lab;
use hoist_offload::Error;

use super::{Maker, Mix, Place};
use crate::generator::sockets::Kind;
use crate::generator::{Live, Options, Sockets};
use crate::meter::Traffic;
use crate::profile::{Ends, Frames};

/// Tells frames of a benchmark from all others, where they have room for it.
pub(super) const TOKEN: u16 = 0x4842;

/// A generator that sends out of the far end.
pub(super) fn of(
    place: &Place,
    kernel: &Arc<dyn Kernel>,
    mix: &Mix<'_>,
) -> Result<Box<dyn Traffic>, Error> {
    let input = |what: String| Error::Input { what, hint: None };
    let Some(far) = &place.far else { return Err(input("nothing sends".to_owned())) };
    let ends = Ends::between(far.mac, place.near.mac);
    let ends = if place.is_made() { ends.v4(Lab::FAR, Lab::NEAR) } else { ends };
    let frames = Frames::of(mix.profile, ends, mix.stamped);
    let frames = frames.map_err(|error| input(error.to_string()))?;
    let options = Options { token: TOKEN, ..Options::on(mix.cpus) };
    let kind = match mix.maker {
        Maker::Live => None,
        Maker::AfXdp => Some(Kind::AfXdp),
        Maker::AfPacket => Some(Kind::AfPacket),
    };
    if let Some(kind) = kind {
        return Ok(Box::new(Sockets::new(kind, &far.name, far.ifindex, frames, options)));
    }
    let live = Live::new(Arc::clone(kernel), far.ifindex, frames, options);
    Ok(Box::new(live.map_err(|error| input(error.to_string()))?))
}

/// The processors that generate: as many as are wanted of those that are online, but none that somebody
/// else was given.
///
/// # Errors
/// There are not that many, or those that somebody else was given are not online.
pub fn processors(cores: u32, taken: &[u32]) -> Result<Vec<u32>, Error> {
    let online = fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
    let all = list(&online);
    if let Some(absent) = taken.iter().find(|cpu| !all.contains(cpu)) {
        return Err(Error::Input {
            what: format!("there is no processor {absent} (online: {})", online.trim()),
            hint: Some("give --napi-cpus processors that are online".to_owned()),
        });
    }
    let free: Vec<u32> = all.into_iter().filter(|cpu| !taken.contains(cpu)).collect();
    if free.len() < cores as usize {
        return Err(Error::Input {
            what: format!(
                "{cores} processors are to generate, and {} can (online: {})",
                free.len(),
                online.trim()
            ),
            hint: Some("lower --cores, or leave them some with --napi-cpus".to_owned()),
        });
    }
    Ok(free.into_iter().take(cores as usize).collect())
}

/// The least number of receive queues with which each of these processors has one of its own: `veth`
/// puts a frame that is redirected to it into queue `processor % queues` (`veth_select_rxq`).
#[must_use]
pub fn queues_for(cpus: &[u32]) -> u32 {
    let most = cpus.iter().max().map_or(1, |cpu| cpu + 1);
    (1..most).find(|queues| apart(cpus, *queues)).unwrap_or(most)
}

/// Whether with so many queues no two of these processors put frames into the same.
#[must_use]
pub fn apart(cpus: &[u32], queues: u32) -> bool {
    let used: BTreeSet<u32> = cpus.iter().map(|cpu| cpu % queues.max(1)).collect();
    used.len() == cpus.len()
}

/// The numbers of a list as the kernel writes it: `0-3,8`.
fn list(text: &str) -> Vec<u32> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.trim().parse::<u32>().ok()?..=last.trim().parse().ok()?)
    };
    text.trim().split(',').filter_map(range).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_processor_has_a_queue_of_its_own() {
        for (cpus, queues) in [
            (&[0][..], 1),
            (&[5], 1),
            (&[0, 1], 2),
            (&[1, 3], 3),
            (&[0, 2, 4], 3),
            (&[0, 4, 8], 3),
            (&[], 1),
        ] {
            assert_eq!(queues_for(cpus), queues, "{cpus:?}");
            assert!(apart(cpus, queues) && (queues == 1 || !apart(cpus, queues - 1)), "{cpus:?}");
        }
    }

    #[test]
    fn processors_that_are_not_online_are_named() {
        let error = processors(1, &[4095]).unwrap_err().to_string();
        assert!(error.contains("no processor 4095 (online: 0"), "{error}");
    }

    #[test]
    fn lists_of_processors_are_read() {
        for (text, cpus) in
            [("0-3,8\n", vec![0, 1, 2, 3, 8]), ("0", vec![0]), ("", vec![]), ("x,2", vec![2])]
        {
            assert_eq!(list(text), cpus, "{text:?}");
        }
    }
}
