//! Which helpers a program type has: `call N` as the first instruction, and what the verifier says.
//!
//! What follows the call reads a register that the call destroyed, so that no trial loads: a refusal
//! costs the kernel a fraction of what compiling and freeing a program does.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use hoist_bpf::insn::Insn;
use hoist_bpf::kernel::KernelError;
use hoist_bpf::names;

use super::{EXIT, Findings, PERFMON, Trial, call, no, telling, unknown, yes};
use crate::host::report::Finding;

/// `r0 = r1`.
const READ_R1: Insn = Insn::new(0xbf, 0, 1, 0, 0);

/// Refusals that mean the program type does not have the helper. The first two are those of older
/// kernels, the third that of Linux 6.11 and later.
const DENIALS: [&str; 4] = [
    "unknown func ",
    "invalid func ",
    "program of this type cannot use helper ",
    "helper call is not allowed in probe",
];

/// Helpers that Linux 6.18 hides from processes without `CAP_PERFMON` (`bpf_base_func_proto` and what
/// it calls), seen by asking with and without it.
const HIDDEN: [&str; 28] = [
    "bpf_copy_from_user",
    "bpf_copy_from_user_task",
    "bpf_find_vma",
    "bpf_get_branch_snapshot",
    "bpf_get_current_comm",
    "bpf_get_current_task",
    "bpf_get_current_task_btf",
    "bpf_get_task_stack",
    "bpf_perf_event_read",
    "bpf_perf_event_read_value",
    "bpf_probe_read_kernel",
    "bpf_probe_read_kernel_str",
    "bpf_probe_read_user",
    "bpf_probe_read_user_str",
    "bpf_send_signal",
    "bpf_send_signal_thread",
    "bpf_skc_to_mptcp_sock",
    "bpf_skc_to_tcp6_sock",
    "bpf_skc_to_tcp_request_sock",
    "bpf_skc_to_tcp_sock",
    "bpf_skc_to_tcp_timewait_sock",
    "bpf_skc_to_udp6_sock",
    "bpf_skc_to_unix_sock",
    "bpf_snprintf",
    "bpf_snprintf_btf",
    "bpf_task_pt_regs",
    "bpf_trace_printk",
    "bpf_trace_vprintk",
];

/// Helpers to ask for, which any number of threads may work at.
#[derive(Debug)]
pub(in super::super) struct Helpers {
    questions: Vec<(u32, u32)>,
    next: AtomicUsize,
}

impl Helpers {
    /// All that this build knows, for each of these program types.
    pub(in super::super) fn of(program_types: &[u32]) -> Self {
        let every = |kind: &u32| {
            let kind = *kind;
            (1..=names::LAST_HELPER).map(move |id| (kind, id))
        };
        let questions = program_types.iter().flat_map(every).collect();
        Self { questions, next: AtomicUsize::new(0) }
    }

    /// Asks until nothing is left; the answers by program type are those found here.
    pub(in super::super) fn ask(&self, trial: &Trial<'_>) -> BTreeMap<u32, Findings> {
        let mut found: BTreeMap<u32, Findings> = BTreeMap::new();
        while let Some(&(kind, id)) = self.questions.get(self.next.fetch_add(1, Ordering::Relaxed))
        {
            let name = names::helper(id);
            let finding = helper(trial, kind, id, &name);
            found.entry(kind).or_default().insert(name, finding);
        }
        found
    }
}

fn helper(trial: &Trial<'_>, program_type: u32, id: u32, name: &str) -> Finding {
    let number = i32::try_from(id).unwrap_or(i32::MAX);
    match trial.load(program_type, &[call(number), READ_R1, EXIT]) {
        Ok(_) => yes("a call loads"),
        Err(error) => judge(trial, &error, name),
    }
}

/// Any complaint of the verifier other than a denial is about the arguments, which it checks only
/// for helpers that the program type has.
fn judge(trial: &Trial<'_>, error: &KernelError, name: &str) -> Finding {
    match telling(error) {
        Some(line) if DENIALS.iter().any(|d| line.contains(d)) => {
            if trial.lacks(PERFMON) && HIDDEN.contains(&name) {
                unknown(format!("{line}; {PERFMON} would tell more"))
            } else {
                no(line)
            }
        }
        Some("R1 !read_ok") => yes("a call is accepted"),
        Some(line) => yes(line),
        None => trial.unsettled(error),
    }
}

#[cfg(test)]
mod tests {
    use hoist_bpf::kernel::Linux;

    use super::*;
    use crate::capability::Answer;

    fn error(errno: i32, log: &str) -> KernelError {
        KernelError {
            operation: "BPF_PROG_LOAD".to_owned(),
            object: "hoist_trial".to_owned(),
            errno,
            message: None,
            log: Some(log.to_owned()),
        }
    }

    fn judged(capabilities: &[&str], error: &KernelError, name: &str) -> Answer {
        let kernel = Linux::new().expect("opening asks for nothing");
        let held = capabilities.iter().map(|name| ((*name).to_owned(), true)).collect();
        judge(&Trial::new(&kernel, &held), error, name).answer
    }

    /// Kernels changed the wording of a denial twice; every wording counts, and nothing else does.
    #[test]
    fn verifier_lines_are_judged() {
        let stats = "processed 0 insns (limit 1000000) max_states_per_insn 0 total_states 0";
        let denied = |line: &str| format!("0: R1=ctx() R10=fp0\n0: (85) call x#9\n{line}\n{stats}");
        let cases = [
            (22, denied("unknown func bpf_skb_store_bytes#9"), Answer::No),
            (22, denied("invalid func unknown#9999"), Answer::No),
            (
                22,
                denied("program of this type cannot use helper bpf_skb_store_bytes#9"),
                Answer::No,
            ),
            (13, denied("R2 !read_ok"), Answer::Yes),
            (22, denied("kernel subsystem misconfigured verifier"), Answer::Yes),
            (22, String::new(), Answer::Unknown),
            (22, format!("0: (85) call x#9\n{stats}"), Answer::Unknown),
            (1, String::new(), Answer::Unknown),
            (12, String::new(), Answer::Unknown),
        ];
        for (errno, log, expected) in cases {
            let found = judged(&[], &error(errno, &log), "bpf_skb_store_bytes");
            assert_eq!(found, expected, "errno {errno}, log {log:?}");
        }
    }

    /// Without `CAP_PERFMON` a denial of a tracing helper says nothing about the kernel.
    #[test]
    fn a_missing_capability_is_not_a_missing_helper() {
        let error = error(22, "program of this type cannot use helper bpf_trace_printk#6");
        let cases = [
            (["CAP_BPF", "CAP_NET_ADMIN"].as_slice(), Answer::Unknown),
            (&["CAP_BPF", "CAP_PERFMON"], Answer::No),
            (&["CAP_SYS_ADMIN"], Answer::No),
        ];
        for (held, expected) in cases {
            assert_eq!(judged(held, &error, "bpf_trace_printk"), expected, "{held:?}");
        }
    }
}
