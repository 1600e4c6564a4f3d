//! Text: formatting, numbers, comparison.

use super::argument::{ERANGE, sized, wrong};
use crate::userspace::maps::Errno;
use crate::userspace::vm::Running;
use crate::userspace::vm::fault::FaultKind;

mod format;
mod number;

use format::Unprintable;
use number::NotANumber;

/// The most that one message of `bpf_trace_printk` holds (`MAX_BPRINTF_BUF`).
const MOST_MESSAGE: usize = 1024;
/// The most arguments in memory (`MAX_BPRINTF_VARARGS`).
const MOST_ARGUMENTS: u64 = 12;
/// The longest string that is looked through for its end.
const MOST_STRING: usize = 1 << 16;

/// Bytes up to a NUL or `most`, whichever comes first; `None` where the memory ends before.
pub(super) fn string(run: &mut Running<'_>, at: u64, most: usize) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    while text.len() < most {
        match run.bytes(at.wrapping_add(text.len() as u64), 1).ok()?.first() {
            Some(0) | None => break,
            Some(byte) => text.push(*byte),
        }
    }
    Some(text)
}

/// `ARG_PTR_TO_CONST_STR`.
fn constant(
    run: &mut Running<'_>,
    helper: &'static str,
    argument: u8,
    at: u64,
) -> Result<Vec<u8>, FaultKind> {
    string(run, at, MOST_STRING).ok_or_else(|| wrong(helper, argument, "not a string with an end"))
}

/// Formats with arguments; the errno where that cannot be.
fn print(run: &mut Running<'_>, format: &[u8], arguments: &[u64]) -> Result<Vec<u8>, Errno> {
    // One of the two readers runs at a time; they take turns with the run.
    let run = std::cell::RefCell::new(run);
    let mut text = |at, most| string(*run.borrow_mut(), at, most);
    let mut bytes = |at, n: usize| run.borrow_mut().bytes(at, n as u64).ok().map(<[u8]>::to_vec);
    format::format(format, arguments, &mut text, &mut bytes).map_err(|error| match error {
        Unprintable::Invalid => Errno::EINVAL,
        Unprintable::TooLong => Errno::ENOSPC,
    })
}

/// The arguments that a helper finds in memory, or `None` where their size is not one it takes.
fn arguments(run: &mut Running<'_>, at: u64, size: u64) -> Result<Option<Vec<u64>>, FaultKind> {
    if size == 0 {
        return Ok(Some(Vec::new()));
    }
    // A null pointer is the only one the verifier lets through unseen.
    if at == 0 || !size.is_multiple_of(8) || size > MOST_ARGUMENTS * 8 {
        if at != 0 {
            run.bytes(at, size)?;
        }
        return Ok(None);
    }
    let (words, _) = run.bytes(at, size)?.as_chunks::<8>();
    Ok(Some(words.iter().map(|word| u64::from_ne_bytes(*word)).collect()))
}

/// Keeps a message, and says how long it was.
fn say(run: &mut Running<'_>, mut text: Vec<u8>) -> u64 {
    let length = text.len() as u64;
    text.truncate(MOST_MESSAGE - 1);
    let text = String::from_utf8_lossy(&text);
    run.environment.say(text.trim_end_matches('\n').to_owned());
    length
}

/// The format of a helper that is given its size: up to the NUL, which must be there.
fn sized_format(
    run: &mut Running<'_>,
    helper: &'static str,
    at: u64,
    size: u64,
) -> Result<Option<Vec<u8>>, FaultKind> {
    let size = sized(helper, 2, size)?;
    let bytes = run.bytes(at, size)?;
    let end = bytes.iter().position(|byte| *byte == 0);
    Ok(end.map(|end| bytes[..end].to_vec()))
}

/// `bpf_trace_printk`.
pub(super) fn trace_printk(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    let Some(format) = sized_format(run, "trace_printk", r[0], r[1])? else {
        return Ok(Errno::EINVAL.as_return());
    };
    Ok(match print(run, &format, &r[2..]) {
        Ok(text) => say(run, text),
        Err(errno) => errno.as_return(),
    })
}

/// `bpf_trace_vprintk`.
pub(super) fn trace_vprintk(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    let format = sized_format(run, "trace_vprintk", r[0], r[1])?;
    let (Some(arguments), Some(format)) = (arguments(run, r[2], r[3])?, format) else {
        return Ok(Errno::EINVAL.as_return());
    };
    Ok(match print(run, &format, &arguments) {
        Ok(text) => say(run, text),
        Err(errno) => errno.as_return(),
    })
}

/// `bpf_snprintf`: the length of the whole text with its NUL, however much of it found room.
pub(super) fn snprintf(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    if r[0] != 0 || r[1] != 0 {
        run.bytes_mut(r[0], r[1])?;
    }
    let format = constant(run, "snprintf", 3, r[2])?;
    let Some(arguments) = arguments(run, r[3], r[4])? else {
        return Ok(Errno::EINVAL.as_return());
    };
    let text = match print(run, &format, &arguments) {
        Ok(text) => text,
        Err(errno) => return Ok(errno.as_return()),
    };
    if let Some(room) = (r[1] as usize).checked_sub(1) {
        let n = room.min(text.len());
        let to = run.bytes_mut(r[0], n as u64 + 1)?;
        to[..n].copy_from_slice(&text[..n]);
        to[n] = 0;
    }
    Ok(text.len() as u64 + 1)
}

/// `bpf_strtol`.
pub(super) fn strtol(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    let number = |text: &[u8]| {
        number::signed(text, r[2]).map(|(value, taken)| (value.cast_unsigned(), taken))
    };
    strto(run, r, "strtol", number)
}

/// `bpf_strtoul`.
pub(super) fn strtoul(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    strto(run, r, "strtoul", |text| number::unsigned(text, r[2]))
}

fn strto(
    run: &mut Running<'_>,
    r: [u64; 5],
    helper: &'static str,
    parse: impl Fn(&[u8]) -> Result<(u64, usize), NotANumber>,
) -> Result<u64, FaultKind> {
    let size = sized(helper, 2, r[1])?;
    if !r[3].is_multiple_of(8) {
        return Err(wrong(helper, 4, "not aligned to 8 bytes"));
    }
    // The kernel clears the result before it reads, so text that is its own result reads as zeroes.
    run.bytes_mut(r[3], 8)?.fill(0);
    let parsed = parse(run.bytes(r[0], size)?);
    Ok(match parsed {
        Ok((value, taken)) => {
            run.bytes_mut(r[3], 8)?.copy_from_slice(&value.to_ne_bytes());
            taken as u64
        }
        Err(NotANumber::Invalid) => Errno::EINVAL.as_return(),
        Err(NotANumber::Range) => ERANGE.as_return(),
    })
}

/// `bpf_strncmp`: -1, 0 or 1.
pub(super) fn strncmp(run: &mut Running<'_>, r: [u64; 5]) -> Result<u64, FaultKind> {
    let size = sized("strncmp", 2, r[1])?;
    let mut other = constant(run, "strncmp", 3, r[2])?;
    other.push(0);
    let text = run.bytes(r[0], size)?;
    for (a, b) in text.iter().zip(&other) {
        if a != b {
            return Ok(if a < b { u64::MAX } else { 1 });
        }
        if *a == 0 {
            break;
        }
    }
    Ok(0)
}
