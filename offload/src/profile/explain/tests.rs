//! Format strings against what they write.

use super::*;

#[test]
fn conversions_write_anything() {
    for (format, line, expected) in [
        (
            "map writes not supported",
            "[nfp] map writes not supported",
            Some("map writes not supported"),
        ),
        ("map writes not supported", "[nfp] map reads not supported", None),
        (
            "instruction %#02x not supported",
            "[nfp] instruction 0x9f not supported\n",
            Some("instruction 0x9f not supported"),
        ),
        (
            "%s: variable pointer",
            "[nfp] map_lookup: variable pointer",
            Some("map_lookup: variable pointer"),
        ),
        ("%s: variable pointer", "[nfp] map_lookup: unsupported ptr type 3", None),
        ("off: %u", "x off: 17", Some("off: 17")),
        ("a %hhx -> %hhx", "a 1 to 2", None),
    ] {
        assert_eq!(spoken(format, line), expected, "{format:?} {line:?}");
    }
}

#[test]
fn the_instruction_before_the_words_is_named() {
    let mut profile = Profile::kernel("card", "a card", "its source");
    profile.rules.insert(
        Rule::MapStore,
        super::super::Citation::new("a.c: b", &["map writes not supported"]),
    );
    let log = "11: (bf) r1 = r0\n12: (7b) *(u64 *)(r1 +0) = r2\n[card] map writes not supported\nprocessed 13 insns";
    let gaps = profile.explain(log, "");
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert_eq!(
        (gaps[0].code.as_str(), gaps[0].insn.as_deref()),
        ("card-map-store", Some("instruction 12"))
    );
    let twice = profile.explain("", "nfp: map writes not supported\nmap writes not supported");
    assert_eq!(twice.len(), 1, "{twice:?}");
    assert!(profile.explain("R1 !read_ok", "eth0: link up").is_empty());
}
