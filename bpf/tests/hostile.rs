//! Files that lie about themselves are refused by name, without taking memory for what they claim.

use hoist_bpf::Module;

const OBJECT: &[u8] = include_bytes!("objects/functions.bpf.o");
const SECTIONS: &[u8] = include_bytes!("objects/sections.bpf.o");

/// Offsets within `Elf64_Shdr`.
const TYPE: usize = 4;
const OFFSET: usize = 24;
const SIZE: usize = 32;
const INFO: usize = 44;
/// `sizeof(Elf64_Shdr)`.
const HEADER: usize = 64;

fn word(bytes: &[u8], at: usize) -> usize {
    u64::from_ne_bytes(bytes[at..at + 8].try_into().expect("8 bytes")) as usize
}

fn short(bytes: &[u8], at: usize) -> usize {
    usize::from(u16::from_ne_bytes(bytes[at..at + 2].try_into().expect("2 bytes")))
}

/// Offset of a section's header.
fn header(bytes: &[u8], name: &str) -> usize {
    let (table, count, strings) = (word(bytes, 40), short(bytes, 60), short(bytes, 62));
    let strings = word(bytes, table + HEADER * strings + OFFSET);
    (0..count)
        .map(|i| table + HEADER * i)
        .find(|at| {
            let offset = u32::from_ne_bytes(bytes[*at..*at + 4].try_into().expect("4 bytes"));
            bytes[strings + offset as usize..].starts_with(&[name.as_bytes(), &[0]].concat())
        })
        .unwrap_or_else(|| panic!("no section {name}"))
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

/// Overwrites a field of a section's header.
fn field(bytes: &mut [u8], section: &str, at: usize, value: &[u8]) {
    let at = header(bytes, section) + at;
    put(bytes, at, value);
}

type Damage = fn(&mut Vec<u8>);

#[test]
fn lies_are_refused_by_name() {
    let cases: [(&str, Damage, &str); 14] = [
        ("empty", |b| b.clear(), "does not start with"),
        ("text", |b| *b = b"#!/bin/sh\n".to_vec(), "does not start with"),
        ("32 bits", |b| b[4] = 1, "is a 32-bit ELF file"),
        ("byte order", |b| b[5] = 3 - b[5], "has the other byte order"),
        ("machine", |b| put(b, 18, &62u16.to_ne_bytes()), "is for another machine"),
        ("executable", |b| put(b, 16, &2u16.to_ne_bytes()), "is not relocatable"),
        (
            "code beyond the file",
            |b| field(b, "xdp", SIZE, &u64::MAX.to_ne_bytes()),
            "section 'xdp': 18446744073709551615 bytes",
        ),
        ("huge .bss", |b| field(b, ".bss", SIZE, &(1u64 << 40).to_ne_bytes()), "section '.bss': "),
        (
            "relocation type",
            |b| {
                let records = word(b, header(b, ".relxdp") + OFFSET);
                put(b, records + 8, &99u32.to_ne_bytes());
            },
            "type 99 is unknown for code",
        ),
        (
            "relocation offset",
            |b| {
                let records = word(b, header(b, ".relxdp") + OFFSET);
                put(b, records, &3u64.to_ne_bytes());
            },
            "section 'xdp', offset 0x3",
        ),
        (
            "relocations for nobody",
            |b| field(b, ".relxdp", INFO, &999u32.to_ne_bytes()),
            "section '#999'",
        ),
        (
            "two functions in one place",
            |b| {
                // `beside` is 32 bytes long; now it reaches into `caller`, 16 bytes in.
                *b = SECTIONS.to_vec();
                let symbols = word(b, header(b, ".symtab") + OFFSET);
                let beside = (symbols..b.len()).step_by(24).find(|at| word(b, at + 16) == 32);
                put(b, beside.expect("a symbol of 32 bytes") + 16, &48u64.to_ne_bytes());
            },
            "symbol 'caller': it lies within function 'beside'",
        ),
        (
            "line info beyond its section",
            |b| {
                let btf = word(b, header(b, ".BTF.ext") + OFFSET);
                put(b, btf + 20, &u32::MAX.to_ne_bytes());
            },
            ".BTF.ext header",
        ),
        (
            "symbols of nothing",
            |b| field(b, ".symtab", TYPE, &0u32.to_ne_bytes()),
            "has no symbol table",
        ),
    ];
    for (name, damage, expected) in cases {
        let mut bytes = OBJECT.to_vec();
        damage(&mut bytes);
        let error = match Module::parse("object", &bytes) {
            Ok(_) => panic!("{name}: taken"),
            Err(error) => error.to_string(),
        };
        assert!(error.contains(expected), "{name}: {error}");
    }
}

#[test]
fn no_truncation_is_taken() {
    // The section headers come last, so every cut loses some of them.
    for len in 0..OBJECT.len() {
        let result = Module::parse("object", &OBJECT[..len]);
        assert!(result.is_err(), "{len} bytes of {}", OBJECT.len());
    }
}

#[test]
fn overlapping_sections_cost_no_more_than_the_limit() {
    let mut bytes = OBJECT.to_vec();
    let (table, count) = (word(&bytes, 40), short(&bytes, 60));
    let data = header(&bytes, ".data");
    let contents = bytes.len();
    bytes.resize(contents + (1 << 20), 0xaa);
    put(&mut bytes, data + OFFSET, &(contents as u64).to_ne_bytes());
    put(&mut bytes, data + SIZE, &(1u64 << 20).to_ne_bytes());
    let (one, mut headers) =
        (bytes[data..data + HEADER].to_vec(), bytes[table..table + HEADER * count].to_vec());
    for _ in 0..1000 {
        headers.extend(&one);
    }
    let moved = bytes.len() as u64;
    bytes.extend(headers);
    put(&mut bytes, 40, &moved.to_ne_bytes());
    put(&mut bytes, 60, &((count + 1000) as u16).to_ne_bytes());
    let error = Module::parse("object", &bytes).expect_err("a gigabyte").to_string();
    assert!(error.contains(".data is too large") && error.contains("18 MiB"), "{error}");
}
