//! Putting the host report together.

use hoist_bpf::insn::Insn;
use hoist_bpf::kernel::{Kernel, ProgramSpec};

use super::cache::Sections;
use super::trial::{self, Findings, Helpers, SCHED_CLS, Trial, XDP};
use super::{btf, system};
use crate::capability::Answer;
use crate::fact::Evidence;
use crate::host::report::{Finding, HostReport};

/// Kernel functions whose presence tells of a way to attach.
const ATTACH: [(&str, &str); 2] = [
    ("xdp-link", "bpf_xdp_link_attach"),
    ("link-attach-failed", "__bpf_trace_bpf_xdp_link_attach_failed"),
];

/// Asks by trial for the sections that `known` leaves open, on two threads: helpers are most of the
/// work, and whoever has nothing else to do takes the next.
pub(super) fn probe(kernel: &dyn Kernel, capabilities: u64, known: Sections) -> Sections {
    let trial = Trial::new(kernel, &system::capabilities(capabilities));
    let Sections { mut xdp_helpers, mut tc_helpers, .. } = known;
    let others = Sections { xdp_helpers: None, tc_helpers: None, ..known };
    let mut open = Vec::new();
    for (section, kind) in [(&mut xdp_helpers, XDP), (&mut tc_helpers, SCHED_CLS)] {
        if section.is_none() {
            open.push(kind);
            *section = Some(Findings::new());
        }
    }
    let helpers = Helpers::of(&open);
    let (others, found) = std::thread::scope(|scope| {
        let other = scope.spawn(|| (probe_others(&trial, others), helpers.ask(&trial)));
        let here = helpers.ask(&trial);
        let (others, there) = other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        (others, [here, there])
    });
    for (kind, findings) in found.into_iter().flatten() {
        let section = if kind == XDP { &mut xdp_helpers } else { &mut tc_helpers };
        section.get_or_insert_default().extend(findings);
    }
    Sections { xdp_helpers, tc_helpers, ..others }
}

fn probe_others(trial: &Trial<'_>, known: Sections) -> Sections {
    let Sections { program_types, map_types, kfuncs, features, .. } = known;
    let found = if kfuncs.is_none() || features.is_none() {
        look_up(trial.kernel)
    } else {
        Err("not asked".to_owned())
    };
    let program_types = program_types.unwrap_or_else(|| trial::program_types(trial));
    let map_types =
        map_types.unwrap_or_else(|| trial::map_types(trial, program_types.get("struct_ops")));
    let features = features.unwrap_or_else(|| {
        let mut features = trial::features(trial);
        features.extend(by_btf(&found));
        features.insert("netlink-xdp".to_owned(), netlink_xdp());
        for (feature, from, name) in
            [("ringbuf", &map_types, "ringbuf"), ("freplace", &program_types, "ext")]
        {
            features.extend(from.get(name).map(|finding| (feature.to_owned(), finding.clone())));
        }
        features
    });
    Sections {
        kfuncs: Some(kfuncs.unwrap_or_else(|| callable(trial, &found))),
        features: Some(features),
        program_types: Some(program_types),
        map_types: Some(map_types),
        ..Sections::default()
    }
}

/// The report: what can be read at once, and the sections as they are.
pub(super) fn assemble(
    kernel: &dyn Kernel,
    capabilities: u64,
    bpf_syscall: Finding,
    sections: Sections,
) -> HostReport {
    let Sections { program_types, map_types, xdp_helpers, tc_helpers, kfuncs, features } = sections;
    HostReport {
        kernel: system::release(),
        version: system::version(),
        machine: system::machine(),
        cpus: kernel.possible_cpus().map_or(0, |n| u32::try_from(n).unwrap_or(u32::MAX)),
        jit: system::jit(),
        btf_bytes: system::size(btf::VMLINUX),
        unprivileged_bpf_disabled: system::sysctl("kernel.unprivileged_bpf_disabled"),
        capabilities: system::capabilities(capabilities),
        bpf_syscall,
        program_types: program_types.unwrap_or_default(),
        map_types: map_types.unwrap_or_default(),
        xdp_helpers: xdp_helpers.unwrap_or_default(),
        tc_helpers: tc_helpers.unwrap_or_default(),
        kfuncs: kfuncs.unwrap_or_default(),
        features: features.unwrap_or_default(),
    }
}

/// The report without trials: what was recalled, and what a question answers that loads nothing.
pub(super) fn remembered(
    kernel: &dyn Kernel,
    capabilities: u64,
    bpf_syscall: Finding,
    mut recalled: Sections,
) -> HostReport {
    let trial = Trial::new(kernel, &system::capabilities(capabilities));
    let features = recalled.features.get_or_insert_default();
    features.entry("tcx".to_owned()).or_insert_with(|| trial::tcx(&trial));
    assemble(kernel, capabilities, bpf_syscall, recalled)
}

fn look_up(kernel: &dyn Kernel) -> Result<btf::Found, String> {
    let functions: Vec<&str> =
        trial::KFUNCS.iter().copied().chain(ATTACH.map(|(_, function)| function)).collect();
    btf::look_up(kernel, &functions)
}

fn callable(trial: &Trial<'_>, found: &Result<btf::Found, String>) -> Findings {
    match found {
        Ok(found) => trial::kfuncs(trial, &found.functions, btf::modules()),
        Err(why) => {
            trial::KFUNCS.iter().map(|name| ((*name).to_owned(), trial::unknown(why))).collect()
        }
    }
}

/// Whether this process may load XDP programs, and what would permit it.
pub(super) fn permitted(kernel: &dyn Kernel, capabilities: u64) -> Finding {
    let held = system::capabilities(capabilities);
    // A program that is read and refused costs less than one that is compiled.
    let result = kernel.load_program(&ProgramSpec {
        name: "hoist_trial".to_owned(),
        kind: XDP,
        expected_attach_type: 37,
        insns: &[Insn::new(0x95, 0, 0, 0, 0)],
        license: "GPL".to_owned(),
        log_bytes: 1024,
        ..ProgramSpec::default()
    });
    match result {
        Ok(_) => trial::yes("an XDP program loads"),
        Err(error) if error.log.is_some() => trial::yes("the verifier reads an XDP program"),
        Err(error) if error.errno == 1 => {
            let missing: Vec<&str> =
                ["CAP_BPF", "CAP_NET_ADMIN"].into_iter().filter(|name| !held[*name]).collect();
            trial::no(if missing.is_empty() {
                "BPF_PROG_LOAD: not permitted although CAP_BPF and CAP_NET_ADMIN are held: a \
                 security module, seccomp filter or user namespace forbids it"
                    .to_owned()
            } else {
                format!("BPF_PROG_LOAD: not permitted; {} would permit it", missing.join(" and "))
            })
        }
        Err(error) if error.errno == 38 => trial::no("the kernel has no bpf(2)"),
        Err(error) => trial::unknown(error.cause()),
    }
}

fn by_btf(found: &Result<btf::Found, String>) -> Findings {
    let finding = |function: &str| match found {
        Ok(found) if found.names.iter().any(|n| n == function) => Finding {
            answer: Answer::Yes,
            evidence: Evidence::kernel(format!("{function} in the kernel's BTF")),
        },
        Ok(_) => Finding {
            answer: Answer::No,
            evidence: Evidence::kernel(format!("no {function} in the kernel's BTF")),
        },
        Err(why) => trial::unknown(why),
    };
    ATTACH.iter().map(|(feature, function)| ((*feature).to_owned(), finding(function))).collect()
}

/// Every kernel with XDP attaches it over netlink, and says so in each interface's description.
fn netlink_xdp() -> Finding {
    match super::link::links() {
        Ok(links) if links.iter().any(|l| l.has_xdp) => {
            Finding { answer: Answer::Yes, evidence: Evidence::kernel("IFLA_XDP in RTM_NEWLINK") }
        }
        Ok(_) => {
            Finding { answer: Answer::No, evidence: Evidence::kernel("no IFLA_XDP in RTM_NEWLINK") }
        }
        Err(refusal) => trial::unknown(format!("RTM_GETLINK: {refusal}")),
    }
}
