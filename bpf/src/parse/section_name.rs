//! What a section's name says about the program in it, after libbpf's `section_defs`.

use crate::module::ProgramHint;

/// Names that libbpf gives other program types, exact or followed by `/...`.
const OTHER: [&str; 44] = [
    "socket",
    "sk_reuseport",
    "kprobe",
    "kretprobe",
    "kprobe.multi",
    "kretprobe.multi",
    "kprobe.session",
    "uprobe",
    "uretprobe",
    "uprobe.s",
    "uretprobe.s",
    "uprobe.multi",
    "uretprobe.multi",
    "ksyscall",
    "kretsyscall",
    "usdt",
    "usdt.s",
    "tc",
    "tcx",
    "classifier",
    "action",
    "netkit",
    "tracepoint",
    "tp",
    "raw_tracepoint",
    "raw_tp",
    "tp_btf",
    "fentry",
    "fmod_ret",
    "fexit",
    "freplace",
    "lsm",
    "lsm_cgroup",
    "iter",
    "syscall",
    "perf_event",
    "sockops",
    "sk_skb",
    "sk_msg",
    "flow_dissector",
    "sk_lookup",
    "struct_ops",
    "netfilter",
    "lirc_mode2",
];

/// Prefixes of families whose members only differ after the prefix.
const OTHER_PREFIXES: [&str; 4] = ["cgroup/", "cgroup_skb/", "lwt_", "raw_tp.w/"];

/// The hint and whether the name asks for multi-buffer frames.
pub(super) fn classify(section: &str) -> (ProgramHint, bool) {
    // libbpf reads a leading `?` as "do not load unless asked".
    let name = section.strip_prefix('?').unwrap_or(section);
    let (head, rest) = name.split_once('/').unwrap_or((name, ""));
    let hook = rest.split('/').next().unwrap_or_default();
    let frags = head == "xdp.frags";
    let hint = match (head, hook) {
        ("xdp" | "xdp.frags", "devmap") | ("xdp_devmap", _) => ProgramHint::XdpDevmap,
        ("xdp" | "xdp.frags", "cpumap") | ("xdp_cpumap", _) => ProgramHint::XdpCpumap,
        ("xdp" | "xdp.frags", _) => ProgramHint::Xdp,
        _ if OTHER.contains(&head) || OTHER.contains(&head.trim_end_matches(".s")) => {
            ProgramHint::Other
        }
        _ if OTHER_PREFIXES.iter().any(|p| name.starts_with(p)) => ProgramHint::Other,
        _ => ProgramHint::Unknown,
    };
    (hint, frags)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_the_wild() {
        let cases = [
            ("xdp", ProgramHint::Xdp, false),
            ("xdp/icmp_echo", ProgramHint::Xdp, false),
            ("xdp.frags", ProgramHint::Xdp, true),
            ("xdp.frags/cpumap", ProgramHint::XdpCpumap, true),
            ("xdp/devmap", ProgramHint::XdpDevmap, false),
            ("xdp_devmap/egress", ProgramHint::XdpDevmap, false),
            ("xdp_vlan01", ProgramHint::Unknown, false),
            ("prog", ProgramHint::Unknown, false),
            (".text", ProgramHint::Unknown, false),
            ("tc", ProgramHint::Other, false),
            ("tc/ingress", ProgramHint::Other, false),
            ("fentry.s/do_x", ProgramHint::Other, false),
            ("cgroup/sock", ProgramHint::Other, false),
            ("lwt_in", ProgramHint::Other, false),
            ("?xdp", ProgramHint::Xdp, false),
        ];
        for (name, hint, frags) in cases {
            assert_eq!(classify(name), (hint, frags), "{name}");
        }
    }
}
