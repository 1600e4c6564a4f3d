//! Calls of helpers with arguments that the verifier takes, so that what it says is about the helper.

use hoist_bpf::insn::Insn;
use hoist_bpf::names;

use super::super::super::{Findings, SCHED_CLS, XDP, call, unknown};
use super::super::ask::Piece;
use super::super::inferred_no;
use super::signatures::{Of, SIGNATURES};
use super::{
    DYNPTR, KEY, Maps, NUMBER, VALUE, copy, frame, map, raw, set, unless_null, with_value,
};

/// `BPF_F_CURRENT_CPU`, as the 32-bit move that makes it.
const CURRENT_CPU: i32 = -1;
const SK_RELEASE: i32 = 86;
const SKC_LOOKUP_TCP: i32 = 99;
const GET_CURRENT_TASK_BTF: i32 = 158;
const DYNPTR_FROM_MEM: i32 = 197;
/// The register that keeps an object over calls.
const KEPT: u8 = 7;

/// Helpers that many kernels leave to programs that trace, or to one of the two types.
const DOUBTFUL: [&str; 11] = [
    "bpf_get_branch_snapshot",
    "bpf_get_cgroup_classid",
    "bpf_get_current_comm",
    "bpf_get_current_uid_gid",
    "bpf_get_netns_cookie",
    "bpf_get_task_stack",
    "bpf_perf_event_read",
    "bpf_perf_event_read_value",
    "bpf_send_signal",
    "bpf_send_signal_thread",
    "bpf_task_pt_regs",
];

/// Calls to try, and the helpers for which there is nothing to try, with the reason.
pub(in super::super) fn pieces(kind: u32, maps: &Maps) -> (Vec<Piece>, Findings) {
    let mut pieces = Vec::new();
    let mut untried = Findings::new();
    for (name, of, signature) in SIGNATURES {
        if (of == Of::Xdp && kind != XDP) || (of == Of::Cls && kind != SCHED_CLS) {
            continue;
        }
        let Some(id) = names::helper_id(name).and_then(|id| i32::try_from(id).ok()) else {
            continue;
        };
        if let Some(why) = signature.strip_prefix('!') {
            untried.insert(name.to_owned(), without_trial(why));
            continue;
        }
        match code(id, signature, maps) {
            Ok(code) => {
                let doubtful = DOUBTFUL.contains(&name);
                pieces.push(Piece { helper: Some(id), doubtful, ..Piece::new(name, code) });
            }
            Err(why) => {
                untried.insert(name.to_owned(), unknown(format!("not tried: {why}")));
            }
        }
    }
    (pieces, untried)
}

/// Helpers whose arguments the kernel never lets near a device.
fn without_trial(why: &str) -> crate::host::report::Finding {
    const MAPS: &str = "kernel/bpf/offload.c gives a device hash and array maps and lets its programs \
                        use no map of the host's but perf_event_array";
    if let Some(kinds) = why.strip_prefix("map ") {
        return inferred_no(format!("it takes a map of type {kinds}; {MAPS}"));
    }
    match why {
        "btf" => inferred_no(
            "it takes an object inside a map value, which BTF describes; maps of a device have no BTF \
             (map_check_no_btf)",
        ),
        "string" => inferred_no(
            "it takes a string in a frozen map; maps of a device give no direct access to values",
        ),
        "sleeps" => inferred_no("it may sleep; XDP and TC programs never do"),
        "callback" => unknown("not tried: it takes a callback, which needs BTF of the program"),
        _ => unknown("not tried: it takes a variable of the kernel's by its BTF"),
    }
}

/// The call with its arguments, and what has to be had before and given back after it.
fn code<'m>(id: i32, signature: &str, maps: &'m Maps) -> Result<Vec<Insn>, &'m str> {
    let words: Vec<&str> = signature.split_whitespace().collect();
    let takes = |word: &str| words.contains(&word);
    let mut code = arguments(&words, maps)?;
    code.push(call(id));
    if takes("release") {
        code.extend(unless_null(&[copy(1, 0), call(SK_RELEASE)]));
    }
    if takes("S") {
        if id != SK_RELEASE {
            code.extend([copy(1, KEPT), call(SK_RELEASE)]);
        }
        let mut lookup = vec![copy(1, 6)];
        lookup.extend(frame(2, VALUE));
        lookup.extend([set(3, 12), set(4, -1), set(5, 0), call(SKC_LOOKUP_TCP)]);
        code.insert(0, copy(KEPT, 0));
        lookup.extend(unless_null(&code));
        return Ok(lookup);
    }
    if takes("T") {
        code.splice(0..0, [call(GET_CURRENT_TASK_BTF), copy(KEPT, 0)]);
    }
    if takes("D") && id != DYNPTR_FROM_MEM {
        let mut made = vec![copy(1, KEPT), set(2, 8), set(3, 0)];
        made.extend(frame(4, DYNPTR));
        made.push(call(DYNPTR_FROM_MEM));
        code.splice(0..0, made);
    }
    if takes("D") || takes("W") {
        code.insert(0, copy(KEPT, 0));
        // An older kernel takes a dynptr only where there is none yet.
        let clear = [Insn::new(0x7a, 10, 0, -88, 0), Insn::new(0x7a, 10, 0, -96, 0)];
        code = [&clear[..], &with_value(raw(&maps.device)?, &code)].concat();
    }
    Ok(code)
}

fn arguments<'m>(words: &[&str], maps: &'m Maps) -> Result<Vec<Insn>, &'m str> {
    let mut code = Vec::new();
    for (register, word) in (1..).zip(words.iter().filter(|word| **word != "release")) {
        match *word {
            "c" => code.push(copy(register, 6)),
            "m" => code.extend(map(register, raw(&maps.device)?)),
            "p" => code.extend(map(register, raw(&maps.perf)?)),
            "K" => code.extend(frame(register, KEY)),
            "V" => code.extend(frame(register, VALUE)),
            "L" => code.extend(frame(register, NUMBER)),
            "D" => code.extend(frame(register, DYNPTR)),
            "S" | "T" | "W" => code.push(copy(register, KEPT)),
            "f" => code.push(Insn::new(0xb4, register, 0, 0, CURRENT_CPU)),
            number => code.push(set(register, number.parse().unwrap_or_default())),
        }
    }
    Ok(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_signature_can_be_read() {
        for (name, _, signature) in SIGNATURES {
            assert!(names::helper_id(name).is_some(), "{name}");
            if signature.starts_with('!') {
                continue;
            }
            let words: Vec<&str> = signature.split_whitespace().collect();
            assert!(words.iter().filter(|w| **w != "release").count() <= 5, "{name}");
            for word in words {
                let known = ["c", "m", "p", "K", "V", "L", "D", "W", "S", "T", "f", "release"];
                assert!(known.contains(&word) || word.parse::<i32>().is_ok(), "{name}: {word}");
            }
        }
        let mut all: Vec<&str> = SIGNATURES.iter().map(|(name, ..)| *name).collect();
        all.sort_unstable();
        let count = all.len();
        all.dedup();
        assert_eq!(all.len(), count, "a helper stands twice");
    }
}
