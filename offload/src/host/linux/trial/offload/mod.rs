//! What a device takes when a program or map is loaded *for it* (`prog_ifindex`, `map_ifindex`).
//!
//! The kernel refuses before the verifier starts and without a word
//! (`bpf_prog_dev_bound_init`, `bpf_map_offload_map_alloc` in `kernel/bpf/offload.c`), so the error
//! number alone has to tell: `EOPNOTSUPP` for a driver without `ndo_bpf`, `EINVAL` for one that never
//! registered with `bpf_offload_dev_create`.

use hoist_bpf::kernel::{KernelError, MapSpec, ProgramSpec};

use super::{EINVAL, EPERM, Findings, SCHED_CLS, Trial, XDP, no, returns, telling, unknown, yes};
use crate::capability::Answer;
use crate::fact::Evidence;
use crate::host::report::Finding;

mod ask;
mod card;
mod judge;
mod kmsg;
mod limits;
mod pieces;
mod report;

use judge::Said;

pub(in super::super) use report::{is_offload_device, report};

const BPF_F_XDP_DEV_BOUND_ONLY: u32 = 1 << 6;
const BPF_XDP: u32 = 37;
const EOPNOTSUPP: i32 = 95;
/// `BPF_MAP_TYPE_HASH` and `BPF_MAP_TYPE_ARRAY`: the kernel offloads no others.
const MAPS: [(&str, u32); 2] = [("hash", 1), ("array", 2)];

const NO_NDO_BPF: &str = "the driver has no ndo_bpf";
/// What is said of a driver that refuses before the verifier starts: no words, but a log.
const REFUSED_BY_DRIVER: &str = "the driver refuses before it reads the code";

/// What is said of one that verifies the smallest program and then refuses it.
const UNTRANSLATED: &str = "verified, but the driver cannot translate it; dmesg may say why";

/// "No" that follows from the kernel's source; nothing was tried.
fn inferred_no(why: impl Into<String>) -> Finding {
    Finding { answer: Answer::No, evidence: Evidence::assumed(why) }
}

/// Asks one device: the two program types and two map types the kernel can offload, and programs
/// that run on the host but are bound to the device.
pub(in super::super) fn offload(trial: &Trial<'_>, ifindex: u32) -> Findings {
    let program = |kind, expected_attach_type, flags| {
        // 2 is XDP_PASS and TC_ACT_SHOT: one of the few constants that nfp's classifiers may return.
        let spec = ProgramSpec {
            kind,
            expected_attach_type,
            flags,
            ifindex,
            insns: &returns(2),
            ..ProgramSpec::default()
        };
        judge(trial, trial.load_spec(&spec), "CAP_BPF and CAP_NET_ADMIN")
    };
    let mut findings = Findings::from([
        ("xdp".to_owned(), program(XDP, BPF_XDP, 0)),
        ("sched_cls".to_owned(), program(SCHED_CLS, 0, 0)),
        ("dev-bound-only".to_owned(), program(XDP, BPF_XDP, BPF_F_XDP_DEV_BOUND_ONLY)),
    ]);
    let reaches_driver = findings
        .values()
        .any(|f| f.answer == Answer::Yes || f == &no(REFUSED_BY_DRIVER) || f == &no(UNTRANSLATED));
    for (name, kind) in MAPS {
        let spec = MapSpec {
            name: "hoist_trial".to_owned(),
            kind,
            key_size: 4,
            value_size: 4,
            max_entries: 1,
            ifindex,
            ..MapSpec::default()
        };
        let mut finding = judge(trial, trial.kernel.create_map(&spec), "CAP_SYS_ADMIN");
        // A map's refusal has no log. Where programs came as far as the driver, it has an ndo_bpf.
        if finding.evidence.detail.starts_with(NO_NDO_BPF) && reaches_driver {
            finding = no("the driver refuses (BPF_MAP_CREATE: EOPNOTSUPP)");
        }
        findings.insert(name.to_owned(), finding);
    }
    findings
}

fn judge<T>(trial: &Trial<'_>, result: Result<T, KernelError>, privilege: &str) -> Finding {
    let error = match result {
        Ok(_) => return yes("accepted"),
        Err(error) => error,
    };
    let operation = &error.operation;
    match (error.errno, telling(&error)) {
        (EPERM, _) => unknown(format!("{operation} is not permitted; {privilege} would tell")),
        (_, Some(line)) => no(line),
        // The core refuses before there is a log; a driver's prepare after it was opened.
        (_, None) if judge::said(&error) == Said::AtBinding => no(REFUSED_BY_DRIVER),
        (_, None) if judge::said(&error) == Said::AtTranslation => no(UNTRANSLATED),
        (EOPNOTSUPP, None) => no(format!("{NO_NDO_BPF} ({operation}: EOPNOTSUPP)")),
        (EINVAL, None) => no(format!("not an offload device ({operation}: EINVAL)")),
        _ => trial.unsettled(&error),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use hoist_bpf::kernel::Fake;

    use super::*;

    fn error(errno: i32, log: Option<&str>) -> KernelError {
        KernelError {
            operation: "BPF_PROG_LOAD".to_owned(),
            object: "hoist_trial".to_owned(),
            errno,
            message: None,
            log: log.map(str::to_owned),
        }
    }

    /// Every way the kernel has of saying no, and the ways that say nothing.
    #[test]
    fn error_numbers_are_judged() {
        let kernel = Fake::new();
        let trial = Trial::new(&kernel, &BTreeMap::new());
        let cases = [
            (EOPNOTSUPP, None, Answer::No, "no ndo_bpf"),
            (EINVAL, None, Answer::No, "not an offload device"),
            (EINVAL, Some("[nfp] unsupported function id: 5"), Answer::No, "[nfp] unsupported"),
            (EOPNOTSUPP, Some("processed 0 insns (limit 1000000)"), Answer::No, REFUSED_BY_DRIVER),
            (EINVAL, Some("processed 2 insns (limit 1000000)"), Answer::No, UNTRANSLATED),
            (EPERM, None, Answer::Unknown, "CAP_SYS_ADMIN would tell"),
            (12, None, Answer::Unknown, "memory"),
        ];
        for (errno, log, answer, words) in cases {
            let found = judge(&trial, Err::<(), _>(error(errno, log)), "CAP_SYS_ADMIN");
            assert_eq!(found.answer, answer, "errno {errno}");
            assert!(found.evidence.detail.contains(words), "errno {errno}: {found:?}");
        }
        assert_eq!(judge(&trial, Ok(()), "").answer, Answer::Yes);
    }
}
