//! Traffic for a place: which frames, made by which processors.

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
/// There are not that many.
pub(super) fn processors(cores: u32, taken: &[u32]) -> Result<Vec<u32>, Error> {
    let online = fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
    let free: Vec<u32> = list(&online).into_iter().filter(|cpu| !taken.contains(cpu)).collect();
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
    fn lists_of_processors_are_read() {
        for (text, cpus) in
            [("0-3,8\n", vec![0, 1, 2, 3, 8]), ("0", vec![0]), ("", vec![]), ("x,2", vec![2])]
        {
            assert_eq!(list(text), cpus, "{text:?}");
        }
    }
}
