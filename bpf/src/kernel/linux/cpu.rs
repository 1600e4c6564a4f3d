//! Which CPUs there may be.

use std::sync::OnceLock;

use crate::kernel::KernelError;

const PATH: &str = "/sys/devices/system/cpu/possible";

/// Number of possible CPUs; it cannot change while the system runs.
pub(super) fn possible() -> Result<usize, KernelError> {
    static COUNT: OnceLock<usize> = OnceLock::new();
    if let Some(count) = COUNT.get() {
        return Ok(*count);
    }
    let text = std::fs::read_to_string(PATH).map_err(|e| KernelError::io("read", PATH, &e))?;
    let count = parse(&text).ok_or_else(|| {
        let message = format!("not a CPU list: `{}`", text.trim());
        KernelError::new("read", PATH, libc::EINVAL).saying(message)
    })?;
    Ok(*COUNT.get_or_init(|| count))
}

/// A per-CPU value has one part for each CPU in the list; gaps take no room.
fn parse(list: &str) -> Option<usize> {
    let count = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        last.checked_sub(first)?.checked_add(1)
    };
    list.trim().split(',').map(count).sum()
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn cpu_lists() {
        for (text, count) in
            [("0\n", Some(1)), ("0-7\n", Some(8)), ("0-3,8-11\n", Some(8)), ("", None), ("x", None)]
        {
            assert_eq!(parse(text), count, "{text:?}");
        }
    }
}
