//! Reading and writing whole maps: in batches where the type allows, else key by key.
#![expect(unsafe_code, reason = "libbpf is a C library")]

use std::collections::HashSet;
use std::os::fd::AsRawFd;
use std::ptr;

use libbpf_rs::libbpf_sys as sys;

use super::map::Table;
use super::sys::{done, size32};
use crate::kernel::{Entries, KernelError};

/// The kernel's internal `ENOTSUPP`: this map type has no batch operation.
const ENOTSUPP: i32 = 524;
/// Bounds of one batch: entries, and bytes of keys and values.
const BATCH_ENTRIES: usize = 4096;
const BATCH_BYTES: usize = 4 << 20;

/// `BPF_MAP_TYPE_ARRAY`.
const ARRAY: u32 = 2;

/// How often a walk from key to key may pass over a whole map that it has read already.
const ROUNDS: usize = 4;

pub(super) fn all(table: &Table<'_>) -> Result<Entries, KernelError> {
    if table.in_nic {
        return if table.kind == ARRAY { by_index(table) } else { by_key(table) };
    }
    match by_batch(table) {
        Ok(entries) => Ok(entries),
        // No batches for this type or kernel, or a hash bucket longer than any batch.
        Err(ENOTSUPP | libc::EOPNOTSUPP | libc::EINVAL | libc::ENOSPC) => by_key(table),
        Err(errno) => Err(table.error("BPF_MAP_LOOKUP_BATCH", errno)),
    }
}

/// Entries of one batch.
fn room(table: &Table<'_>) -> usize {
    let entry = table.key_len + table.value_len;
    (BATCH_BYTES / entry.max(1)).clamp(1, BATCH_ENTRIES)
}

fn by_batch(table: &Table<'_>) -> Result<Entries, i32> {
    let room = room(table).min(table.max_entries.max(1));
    let mut keys = vec![0; room * table.key_len];
    let mut values = vec![0; room * table.value_len];
    // A position is a bucket number (4 bytes) for hashes and a key for the rest.
    let mut position = vec![0; table.key_len.max(4)];
    let mut next = position.clone();
    let mut entries = Entries::new();
    let mut first = true;
    loop {
        let mut count = size32(room);
        let from = if first { ptr::null_mut() } else { position.as_mut_ptr() };
        // SAFETY: the arrays hold `count` keys and values of the lengths the kernel writes; the
        // positions hold the larger of a key and the four bytes of a bucket number.
        let returned = unsafe {
            sys::bpf_map_lookup_batch(
                table.fd.as_raw_fd(),
                from.cast(),
                next.as_mut_ptr().cast(),
                keys.as_mut_ptr().cast(),
                values.as_mut_ptr().cast(),
                &raw mut count,
                ptr::null(),
            )
        };
        let outcome = done(returned);
        if !matches!(outcome, Ok(()) | Err(libc::ENOENT)) {
            return Err(outcome.err().unwrap_or(libc::EIO));
        }
        let got = (count as usize).min(room);
        for i in 0..got {
            entries.push((
                keys[i * table.key_len..][..table.key_len].to_vec(),
                values[i * table.value_len..][..table.value_len].to_vec(),
            ));
        }
        if outcome.is_err() {
            return Ok(entries);
        }
        std::mem::swap(&mut position, &mut next);
        first = false;
    }
}

/// An array's keys are known: in a NIC, to ask for one costs as much as to ask for its value.
fn by_index(table: &Table<'_>) -> Result<Entries, KernelError> {
    let mut entries = Entries::with_capacity(table.max_entries);
    for index in 0..size32(table.max_entries) {
        let key = index.to_ne_bytes();
        if let Some(value) = table.lookup(&key, table.value_len)? {
            entries.push((key.to_vec(), value));
        }
    }
    Ok(entries)
}

fn by_key(table: &Table<'_>) -> Result<Entries, KernelError> {
    walk(table.max_entries, |key| table.next_key(key), |key| table.lookup(key, table.value_len))
}

/// Goes from key to key. A key that is deleted while it is current sends the walk back to the start:
/// what was read is passed over then, and the rest still read.
fn walk<E>(
    max_entries: usize,
    mut next_key: impl FnMut(Option<&[u8]>) -> Result<Option<Vec<u8>>, E>,
    mut lookup: impl FnMut(&[u8]) -> Result<Option<Vec<u8>>, E>,
) -> Result<Entries, E> {
    let mut entries = Entries::new();
    // As long as nothing tells of a new start, there is nothing to remember.
    let mut seen: Option<HashSet<Vec<u8>>> = None;
    // A program that deletes all the time sends it back all the time.
    let mut patience = max_entries.saturating_mul(ROUNDS);
    let mut key = next_key(None)?;
    while let Some(current) = key {
        key = next_key(Some(&current))?;
        if seen.as_mut().is_some_and(|seen| !seen.insert(current.clone())) {
            if patience == 0 {
                break;
            }
            patience -= 1;
            continue;
        }
        match lookup(&current)? {
            Some(value) => entries.push((current, value)),
            None => seen = seen.or_else(|| Some(keys(&entries))),
        }
        let first = entries.first().map(|(first, _)| first);
        if seen.is_none()
            && ((first.is_some() && key.as_ref() == first) || entries.len() > max_entries)
        {
            seen = Some(keys(&entries));
        }
    }
    Ok(entries)
}

fn keys(entries: &Entries) -> HashSet<Vec<u8>> {
    entries.iter().map(|(key, _)| key.clone()).collect()
}

/// Writes entries; those before one that is refused stay.
pub(super) fn update(table: &Table<'_>, entries: &[(Vec<u8>, Vec<u8>)]) -> Result<(), KernelError> {
    for (key, value) in entries {
        table.check("key", key.len(), table.key_len)?;
        table.check("value", value.len(), table.value_len)?;
    }
    let mut left = entries;
    while !left.is_empty() && !table.in_nic {
        let (batch, rest) = left.split_at(left.len().min(room(table)));
        // One by one the kernel says which entry it does not take, and there may be no batches.
        if update_batch(table, batch).is_err() {
            break;
        }
        left = rest;
    }
    left.iter().try_for_each(|(key, value)| table.update(key, value, 0))
}

/// All lengths are the table's.
fn update_batch(table: &Table<'_>, batch: &[(Vec<u8>, Vec<u8>)]) -> Result<(), i32> {
    let keys: Vec<u8> = batch.iter().flat_map(|(key, _)| key).copied().collect();
    let values: Vec<u8> = batch.iter().flat_map(|(_, value)| value).copied().collect();
    let mut count = size32(batch.len());
    // SAFETY: the arrays hold `count` keys and values of the lengths that the kernel reads.
    done(unsafe {
        sys::bpf_map_update_batch(
            table.fd.as_raw_fd(),
            keys.as_ptr().cast(),
            values.as_ptr().cast(),
            &raw mut count,
            ptr::null(),
        )
    })
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const KEYS: u8 = 10;

    /// A hash of [`KEYS`] keys, of which one is gone when the walk goes on from it.
    fn walked(vanishes: impl Fn(u8) -> bool) -> Vec<u8> {
        let gone = Cell::new(0_u16);
        let is_gone = |key: u8| gone.get() & 1 << key != 0;
        let next = |key: Option<&[u8]>| -> Result<_, ()> {
            if let Some(&[key]) = key.filter(|key| vanishes(key[0])) {
                gone.set(gone.get() | 1 << key);
            }
            // Of a key that is not there, the kernel knows no next one and begins anew.
            let from = key.map_or(0, |key| if is_gone(key[0]) { 0 } else { key[0] + 1 });
            Ok((from..KEYS).find(|key| !is_gone(*key)).map(|key| vec![key]))
        };
        let lookup = |key: &[u8]| Ok((!is_gone(key[0])).then(|| key.to_vec()));
        let entries = walk(KEYS.into(), next, lookup).unwrap();
        entries.into_iter().map(|(key, _)| key[0]).collect()
    }

    #[test]
    fn keys_that_vanish_under_a_walk_hide_no_others() {
        assert_eq!(walked(|_| false), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(walked(|key| key == 5), [0, 1, 2, 3, 4, 6, 7, 8, 9]);
        assert_eq!(walked(|key| key == 0), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(walked(|key| key % 3 == 2), [0, 1, 3, 4, 6, 7, 9]);
    }

    #[test]
    fn a_walk_that_is_always_sent_back_ends() {
        let next = |_: Option<&[u8]>| -> Result<_, ()> { Ok(Some(vec![1])) };
        let entries = walk(4, next, |key| Ok(Some(key.to_vec()))).unwrap();
        assert_eq!(entries.len(), 1);
    }
}
