//! Programs that come with hoist: small XDP programs, one behaviour each, built from
//! `programs/*.bpf.c` and embedded, so that neither a compiler nor a file is needed to try hoist.

/// One program that comes with hoist.
#[derive(Clone, Copy, Debug)]
pub struct Prebuilt {
    /// Short name: the stem of its source file.
    pub name: &'static str,
    /// One line that says what it does.
    pub summary: &'static str,
    /// The object file, as the compiler wrote it.
    pub object: &'static [u8],
}

impl Prebuilt {
    /// The program to enter: every object holds one named after it, some hold others besides.
    #[must_use]
    pub fn program(&self) -> String {
        format!("xdp_{}", self.name)
    }
}

macro_rules! prebuilt {
    ($($name:literal: $summary:literal,)+) => {
        &[$(Prebuilt {
            name: $name,
            summary: $summary,
            object: include_bytes!(concat!("../prebuilt/", $name, ".bpf.o")),
        }),+]
    };
}

/// All of them, by name.
pub const LIST: &[Prebuilt] = prebuilt! {
    "acl": "drops or passes TCP and UDP by an exact 5-tuple in a hash map, counting hits",
    "bytes": "lowers the IPv4 TTL with bpf_xdp_load_bytes and bpf_xdp_store_bytes",
    "count_proto": "counts packets and bytes by IP protocol in a per-CPU array",
    "devmap_egress": "runs per devmap entry: drops frames that would leave where they came in",
    "drop": "drops every frame",
    "frags": "copes with frames of several buffers and counts what lies beyond the first",
    "globals": "reads .rodata, .data and counts in .bss",
    "ipip_decap": "takes the outer header off IPv4-in-IPv4 frames",
    "ipip_encap": "wraps IPv4 frames in an outer IPv4 header",
    "loop": "sums bytes of a frame in a bpf_loop callback",
    "lpm_block": "drops IPv4 sources that a prefix trie blocks",
    "meta": "writes four bytes of metadata in front of every frame",
    "pass": "passes every frame to the stack",
    "redirect": "sends frames out of the interface whose index is in a map",
    "redirect_devmap": "sends frames out of the interface a devmap holds for their queue",
    "ringbuf": "reports every frame through a ring buffer",
    "rx_hash": "asks the driver for the receive hash; bound to its device",
    "subprog": "counts by ethertype through a static and a global subprogram",
    "swap_tx": "swaps the MAC addresses and sends every frame back",
    "tail_call": "hands IPv4 and IPv6 to two other programs by tail calls",
    "tail_shrink": "cuts frames down to 64 bytes",
    "vlan_pop": "takes the outer VLAN tag off",
    "vlan_push": "puts a VLAN tag into every frame",
};

/// The program of that name.
#[must_use]
pub fn get(name: &str) -> Option<&'static Prebuilt> {
    LIST.iter().find(|p| p.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

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
        let listed: BTreeSet<String> = LIST.iter().map(|p| p.name.to_owned()).collect();
        assert_eq!(listed, stems("programs", ".bpf.c"));
        assert_eq!(listed, stems("prebuilt", ".bpf.o"));
        assert!(LIST.is_sorted_by_key(|p| p.name), "LIST is sorted by name");
        assert!(get("drop").is_some() && get("nonesuch").is_none());
    }
}
