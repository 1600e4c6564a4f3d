//! What a refusal for a device says, and who said it.
//!
//! Four parties refuse, and three of them without a word: the kernel before its verifier starts (no log
//! at all), the driver when it is given the program (a log of no instruction), the verifier or the driver
//! at an instruction or at the end (their words), the driver when it translates (a log that looks like
//! success).

use hoist_bpf::kernel::{KernelError, errno_name};

use super::super::{EINVAL, EPERM, no, telling};
use super::card::Card;
use crate::host::report::Finding;

const EOPNOTSUPP: i32 = 95;
const ENOTSUPP: i32 = 524;

/// The finding for a load that was refused.
pub(super) fn judge(card: &Card<'_>, error: &KernelError) -> Finding {
    if error.errno == EPERM {
        return card.trial.unsettled(error);
    }
    let number = errno_name(error.errno);
    match said(error) {
        Said::Driver(line) => no(line),
        Said::Kernel(line) => no(format!("the kernel's verifier: {line}")),
        Said::BeforeVerifying if matches!(error.errno, EINVAL | EOPNOTSUPP | ENOTSUPP) => {
            no(format!("the kernel refuses before it reads the code ({number})"))
        }
        Said::BeforeVerifying => card.trial.unsettled(error),
        Said::AtBinding => no(format!("the driver refuses before it reads the code ({number})")),
        Said::AtTranslation => {
            let heard = match card.heard() {
                Some(line) => format!("; kernel log: {line}"),
                None => "; its reason may be in the kernel log (dmesg)".to_owned(),
            };
            no(format!("verified, but the driver cannot translate it ({number}){heard}"))
        }
    }
}

/// Who refused, at what point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said<'e> {
    /// The driver, in its words: `[nfp] unsupported function id: 5`.
    Driver(&'e str),
    /// The verifier.
    Kernel(&'e str),
    /// `bpf_prog_dev_bound_init` and the checks before it: there is no log.
    BeforeVerifying,
    /// The driver's `prepare`: the log's statistics say that no instruction was read.
    AtBinding,
    /// The driver's `translate`: the log is that of a success.
    AtTranslation,
}

/// Reads a refusal.
pub(super) fn said(error: &KernelError) -> Said<'_> {
    let Some(log) = &error.log else { return Said::BeforeVerifying };
    match telling(error) {
        Some(line) if line.starts_with('[') => Said::Driver(line),
        Some(line) => Said::Kernel(line),
        None if log.contains("processed 0 insns") => Said::AtBinding,
        None => Said::AtTranslation,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use hoist_bpf::kernel::Fake;

    use super::super::super::Trial;
    use super::*;
    use crate::capability::Answer;

    fn error(errno: i32, log: Option<&str>) -> KernelError {
        KernelError {
            log: log.map(str::to_owned),
            ..KernelError::new("BPF_PROG_LOAD", "hoist_trial", errno)
        }
    }

    #[test]
    fn every_party_is_told_from_the_others() {
        let kernel = Fake::new();
        let trial = Trial::new(&kernel, &BTreeMap::new());
        let card = Card::new(&trial, 7, "");
        let stats = "processed 4 insns (limit 1000000) max_states_per_insn 0 total_states 0";
        let refused = |line: &str| format!("3: (85) call bpf_csum_diff#28\n{line}\n{stats}");
        let driver = refused("[nfp] unsupported function id: 28");
        let verifier = refused("R1 type=scalar expected=fp");
        let cases = [
            (22, None, Answer::No, "the kernel refuses before it reads the code (EINVAL)"),
            (
                95,
                Some("processed 0 insns (limit 1000000)"),
                Answer::No,
                "the driver refuses before",
            ),
            (95, Some(driver.as_str()), Answer::No, "[nfp] unsupported function id: 28"),
            (13, Some(verifier.as_str()), Answer::No, "the kernel's verifier: R1 type=scalar"),
            (22, Some(stats), Answer::No, "the driver cannot translate it (EINVAL)"),
            (12, None, Answer::Unknown, "memory"),
            (1, None, Answer::Unknown, "not permitted"),
        ];
        for (errno, log, answer, words) in cases {
            let found = judge(&card, &error(errno, log));
            assert_eq!(found.answer, answer, "{errno} {log:?}");
            assert!(found.evidence.detail.contains(words), "{errno} {log:?}: {found:?}");
        }
    }
}
