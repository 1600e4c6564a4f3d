//! Hand-made sections: every byte is in sight.

use super::*;

fn section(types: &[u32], strings: &str) -> Vec<u8> {
    let type_len = (types.len() * 4) as u32;
    let mut out = Vec::new();
    out.extend(0xeb9fu16.to_ne_bytes());
    out.extend([1, 0]);
    for word in [24, 0, type_len, type_len, strings.len() as u32] {
        out.extend(word.to_ne_bytes());
    }
    for word in types {
        out.extend(word.to_ne_bytes());
    }
    out.extend(strings.as_bytes());
    out
}

const INT: u32 = 1 << 24;
const STRUCT: u32 = 4 << 24;
const TYPEDEF: u32 = 8 << 24;

#[test]
fn reads_structs_with_bit_fields() {
    // int; struct s { int a:3; int b; }; typedef struct s t;
    let types = [
        1,
        INT,
        4,
        (1 << 24) | 32, //
        5,
        STRUCT | (1 << 31) | 2,
        8,
        7,
        1,
        3 << 24,
        9,
        1,
        32, //
        11,
        TYPEDEF,
        2,
    ];
    let btf = Btf::parse(&section(&types, "\0int\0s\0a\0b\0t\0")).unwrap();
    assert_eq!(btf.type_count(), 4);
    let t = btf.find("t", Kind::Typedef).unwrap();
    let s = btf.strip(t.id()).unwrap();
    assert_eq!((s.name(), s.kind()), ("s", Kind::Struct));
    let members: Vec<_> = s.members().map(|m| (m.name, m.bit_offset, m.bits)).collect();
    assert_eq!(members, [("a", 0, 3), ("b", 32, 0)]);
    assert_eq!(btf.size_of(3), Some(8));
    assert_eq!(btf.align_of(3), Some(4));
    assert!(btf.strip(1).unwrap().int().unwrap().signed);
}

#[test]
fn refuses_damage_by_name() {
    let good = section(&[1, INT, 4, 32], "\0int\0");
    type Damage = fn(&mut Vec<u8>);
    let cases: [(&str, Damage, &str); 6] = [
        ("byte order", |b| b.swap(0, 1), "the other byte order"),
        ("magic", |b| b[0] = 0, "not BTF"),
        ("cut", |b| b.truncate(30), "truncated"),
        ("kind", |b| b[24 + 7] = 31, "unknown kind 31"),
        ("count", |b| b[24 + 7] = 3, "beyond the type section"),
        ("strings", |b| *b.last_mut().unwrap() = b'x', "NUL"),
    ];
    for (name, damage, expected) in cases {
        let mut bytes = good.clone();
        damage(&mut bytes);
        let error = Btf::parse(&bytes).unwrap_err().to_string();
        assert!(error.contains(expected), "{name}: {error}");
    }
}

#[test]
fn a_cycle_of_typedefs_ends() {
    let btf = Btf::parse(&section(&[1, TYPEDEF, 1], "\0t\0")).unwrap();
    assert_eq!(btf.strip_id(1), None);
    assert_eq!(btf.size_of(1), None);
    assert_eq!(btf.align_of(1), None);
}
