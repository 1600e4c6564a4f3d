//! What the other form's counters must say, kept beside the runs.

use hoist_bpf::kernel::KernelError;
use hoist_fallback::tc::translate::Event;

use super::compare::{self, Difference};
use super::run::{Form, Observed, Side};

/// Verdicts, of which 0 is `XDP_ABORTED`.
const VERDICTS: usize = 5;

/// Expected counters.
#[derive(Clone, Debug, Default)]
pub(super) struct Books {
    /// Packets and bytes by verdict; a frame counts with its length as it came.
    verdicts: [u64; 2 * VERDICTS],
    /// Runs with a code that is no verdict.
    unknown: u64,
    /// Runs that may end with a tag that the kernel cannot take out.
    cut_off: u64,
}

impl Books {
    /// Enters one run of the native form; gives its verdict, 0 for codes that are none.
    pub(super) fn enter(&mut self, sent: &[u8], native: &Observed) -> usize {
        let verdict = native.verdict as usize;
        let known = if verdict < VERDICTS { verdict } else { 0 };
        self.unknown += u64::from(known != verdict);
        self.cut_off += u64::from(compare::cut_off_tag(&native.frame));
        self.verdicts[2 * known] += 1;
        self.verdicts[2 * known + 1] += sent.len() as u64;
        known
    }

    /// Compares with what the other form counted.
    pub(super) fn check(
        &self,
        form: &Form,
        side: &Side<'_>,
    ) -> Result<Result<(), Difference>, KernelError> {
        if let Some(counters) = form.counters
            && let Some(counted) = side.sums(counters, 2)?
            && counted != self.verdicts
        {
            return Ok(Err(different("verdict counters", &self.verdicts, &counted)));
        }
        if let Some(events) = form.events
            && let Some(counted) = side.sums(events, 1)?
        {
            let mut expected = counted.clone();
            let failed = counted.get(Event::RefreshFailed as usize).copied().unwrap_or(0);
            let exact = [
                (Event::Merged, 0),
                (Event::PullFailed, 0),
                (Event::VlanPushFailed, 0),
                (Event::RefreshFailed, failed.min(self.cut_off)),
                (Event::Aborted, self.verdicts[0]),
                (Event::InvalidCode, self.unknown),
            ];
            for (event, count) in exact {
                if let Some(word) = expected.get_mut(event as usize) {
                    *word = count;
                }
            }
            if counted != expected {
                return Ok(Err(different("event counters", &expected, &counted)));
            }
        }
        Ok(Ok(()))
    }
}

fn different(name: &str, expected: &[u64], counted: &[u64]) -> Difference {
    let entries = |words: &[u64]| {
        let values = words.iter().map(|word| word.to_ne_bytes().to_vec());
        (0_u32..).map(|key| key.to_ne_bytes().to_vec()).zip(values).collect()
    };
    Difference::Map { name: name.to_owned(), native: entries(expected), other: entries(counted) }
}
