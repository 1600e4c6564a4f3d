//! The corpus once more, written by hand for TC: what the translation is measured against.
//!
//! `tc/*.bpf.c` are ports of `bpf/programs/*.bpf.c` to `struct __sk_buff`, as somebody would write
//! them who knows TC well; `tc/bare_*.bpf.c` are the kernel helpers that a translation cannot do
//! without, and nothing else.

/// One program for TC ingress.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// Short name: the stem of its source file. Without `bare_` or `setup_`, the program of
    /// [`hoist_bpf::programs`] that it is a port of.
    pub name: &'static str,
    /// The object file, as the compiler wrote it.
    pub object: &'static [u8],
}

impl Form {
    /// The program to enter: every object holds one named after it, some hold others besides.
    #[must_use]
    pub fn program(&self) -> String {
        format!("tc_{}", self.name)
    }
}

macro_rules! form {
    ($name:literal) => {
        Form { name: $name, object: include_bytes!(concat!("../prebuilt/", $name, ".bpf.o")) }
    };
}

macro_rules! forms {
    ($($name:literal)+) => { &[$(form!($name)),+] };
}

/// Puts a VLAN tag where TC has it, and goes on with the program in its only map.
pub const SETUP_TAGGED: Form = form!("setup_tagged");

/// Does nothing.
pub const NOTHING: Form = form!("bare_nothing");

/// All of them, by name.
pub const LIST: &[Form] = forms! {
    "acl"
    "bare_ipip_decap"
    "bare_ipip_encap"
    "bare_nothing"
    "bare_tagged"
    "bare_tail_shrink"
    "bare_vlan_pop"
    "bare_vlan_push"
    "bytes"
    "count_proto"
    "drop"
    "frags"
    "globals"
    "ipip_decap"
    "ipip_encap"
    "loop"
    "lpm_block"
    "pass"
    "redirect"
    "redirect_devmap"
    "ringbuf"
    "setup_tagged"
    "subprog"
    "swap_tx"
    "tail_call"
    "tail_shrink"
    "vlan_pop"
    "vlan_push"
};

/// Programs of the corpus without a TC form, each with the reason.
pub const WITHOUT: [(&str, &str); 3] = [
    ("devmap_egress", "runs in a devmap, which TC does not have"),
    ("meta", "metadata is what XDP hands to TC; at TC there is nobody to hand it to"),
    ("rx_hash", "asks the driver, bound to its device, before there is a socket buffer"),
];

/// The form of that name.
#[must_use]
pub fn get(name: &str) -> Option<&'static Form> {
    LIST.iter().find(|form| form.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use hoist_bpf::programs;

    use super::*;

    fn stems(directory: &str, suffix: &str) -> BTreeSet<String> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
        std::fs::read_dir(path)
            .unwrap()
            .filter_map(|e| Some(e.unwrap().file_name().to_str()?.strip_suffix(suffix)?.to_owned()))
            .collect()
    }

    #[test]
    fn the_list_is_every_source_and_every_object() {
        let listed: BTreeSet<String> = LIST.iter().map(|form| form.name.to_owned()).collect();
        assert_eq!(listed, stems("tc", ".bpf.c"));
        assert_eq!(listed, stems("prebuilt", ".bpf.o"));
        assert!(LIST.is_sorted_by_key(|form| form.name), "LIST is sorted by name");
    }

    #[test]
    fn every_program_of_the_corpus_has_a_form_or_a_reason() {
        for program in programs::LIST {
            let reason = WITHOUT.iter().any(|(name, _)| *name == program.name);
            assert!(get(program.name).is_some() != reason, "{}", program.name);
        }
    }
}
