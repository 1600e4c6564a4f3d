//! Limits, by bisection.

use std::time::Duration;

use hoist_bpf::insn::Insn;
use hoist_bpf::kernel::{KernelError, MapSpec, errno_name};

use super::super::{EXIT, telling};
use super::card::{Card, Log};
use crate::fact::Evidence;
use crate::host::offload::Limit;

/// `MAX_BPF_STACK` of the kernel.
const STACK_BYTES: u64 = 512;
/// Where asking for longer programs ends: `BPF_MAXINSNS`, and verifying one takes milliseconds.
const INSTRUCTIONS: u64 = 4 << 10;
/// Where asking for larger maps ends. Each lives for the moment of the question; a card's memory is
/// shared with programs that run.
const ENTRIES: u64 = 64 << 10;
/// Keys are copied to the frame by the kernel's hash map (`htab_map_alloc_check`).
const KEY_BYTES: u64 = STACK_BYTES;
const VALUE_BYTES: u64 = 4096;
const ENOMEM: i32 = 12;
/// The kernel frees a map a moment after its last descriptor is closed.
const FREEING: Duration = Duration::from_millis(5);

/// The largest number from `least` to `most` that is taken, assuming that what is larger than a refused
/// one is refused too. Both are multiples of `step`, which is also the precision.
pub(super) fn largest(
    (least, most, step): (u64, u64, u64),
    mut take: impl FnMut(u64) -> Result<(), String>,
) -> Limit {
    let mut taken = None;
    let mut next = least;
    let (mut refused, mut why) = loop {
        match take(next) {
            Ok(()) if next >= most => {
                let evidence = Evidence::trial(format!("{next} was taken; more was not asked for"));
                return Limit { taken: Some(next), refused: None, evidence };
            }
            Ok(()) => {
                taken = Some(next);
                next = (next * 4).min(most);
            }
            Err(why) => break (next, why),
        }
    };
    while let Some(good) = taken
        && refused - good > step
    {
        let middle =
            good + ((refused - good) / 2).next_multiple_of(step).min(refused - good - step);
        match take(middle) {
            Ok(()) => taken = Some(middle),
            Err(said) => (refused, why) = (middle, said),
        }
    }
    Limit { taken, refused: Some(refused), evidence: Evidence::trial(format!("{refused}: {why}")) }
}

/// Bytes of the frame: the largest at once, and downwards from there only where it is refused.
pub(super) fn stack(card: &Card<'_>, kind: u32) -> Limit {
    let take = |bytes: u64| {
        let offset = i16::try_from(bytes).unwrap_or(i16::MAX);
        loads(card, kind, &[Insn::new(0x7a, 10, 0, -offset, 0), Insn::new(0xb7, 0, 0, 0, 2), EXIT])
    };
    from_the_top((8, STACK_BYTES, 8), take)
}

/// Instructions of a program.
pub(super) fn instructions(card: &Card<'_>, kind: u32) -> Limit {
    let take =
        |count: u64| loads(card, kind, &program_of(usize::try_from(count).unwrap_or(usize::MAX)));
    from_the_top((2, INSTRUCTIONS, 1), take)
}

/// A program of so many instructions, at least two. Loads of constants take two places each, which the
/// verifier walks at once.
fn program_of(count: usize) -> Vec<Insn> {
    let mut code = Vec::with_capacity(count);
    if count.is_multiple_of(2) {
        code.push(Insn::new(0xb7, 0, 0, 0, 2));
    }
    while code.len() < count - 1 {
        code.extend([Insn::new(0x18, 0, 0, 0, 2), Insn::default()]);
    }
    code.push(EXIT);
    code
}

fn from_the_top(
    (least, most, step): (u64, u64, u64),
    mut take: impl FnMut(u64) -> Result<(), String>,
) -> Limit {
    match take(most) {
        Ok(()) => largest((most, most, step), |_| Ok(())),
        Err(_) => largest((least, most, step), take),
    }
}

fn loads(card: &Card<'_>, kind: u32, code: &[Insn]) -> Result<(), String> {
    card.load(kind, code, Log::Complaints).map(drop).map_err(|error| words(&error))
}

fn words(error: &KernelError) -> String {
    telling(error).map_or_else(|| errno_name(error.errno), str::to_owned)
}

/// Entries, bytes of a key, bytes of a value.
pub(super) fn maps(card: &Card<'_>, kind: u32) -> [(&'static str, Limit); 3] {
    const ARRAY: u32 = 2;
    let small = MapSpec { kind, key_size: 4, value_size: 4, max_entries: 1, ..MapSpec::default() };
    let number = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    let create = |spec: MapSpec<'_>| {
        let created = match card.map(spec.clone()) {
            // Of maps that were just closed the device may hold the last still.
            Err(error) if error.errno == ENOMEM => {
                std::thread::sleep(FREEING);
                card.map(spec)
            }
            result => result,
        };
        created.map(drop).map_err(|error| words(&error))
    };
    let largest_key = if kind == ARRAY { 4 } else { KEY_BYTES };
    [
        (
            "entries",
            largest((1, ENTRIES, 1), |n| {
                create(MapSpec { max_entries: number(n), ..small.clone() })
            }),
        ),
        (
            "key-bytes",
            from_the_top((4, largest_key, 4), |n| {
                create(MapSpec { key_size: number(n), ..small.clone() })
            }),
        ),
        (
            "value-bytes",
            from_the_top((4, VALUE_BYTES, 4), |n| {
                create(MapSpec { value_size: number(n), ..small.clone() })
            }),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_as_long_as_asked() {
        for count in 2..12 {
            let code = program_of(count);
            assert_eq!(code.len(), count);
            assert!(code[0] != Insn::default() && code.last() == Some(&EXIT));
        }
    }

    /// Every limit within the range is found exactly, with few questions.
    #[test]
    fn the_limit_is_found() {
        for (least, most, step) in [(1, 64 << 10, 1), (4, 512, 4), (8, 512, 8), (2, 4 << 10, 1)] {
            for limit in (0..=most).step_by(usize::try_from(step).unwrap()).chain([most]) {
                if most > 1000 && limit > 300 && limit % 977 != 0 && limit != most {
                    continue;
                }
                let mut asked = 0;
                let mut take = |n: u64| {
                    asked += 1;
                    if n <= limit { Ok(()) } else { Err("ENOMEM".to_owned()) }
                };
                let found = largest((least, most, step), &mut take);
                let expected = (limit >= least).then_some(limit);
                assert_eq!(found.taken, expected, "{least}..{most} step {step}");
                let above = if limit < least { least } else { limit + step };
                assert_eq!(found.refused, (limit < most).then_some(above), "limit {limit}");
                assert!(asked <= 34, "{asked} questions for {limit}");
                let top = from_the_top((least, most, step), |n| {
                    if n <= limit { Ok(()) } else { Err("E2BIG".to_owned()) }
                });
                assert_eq!((top.taken, top.refused), (found.taken, found.refused));
            }
        }
    }
}
