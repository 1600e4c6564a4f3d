//! Types as a compiler writes them for the structures in the comments.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// Builds BTF sections type by type.
struct Types {
    words: Vec<u32>,
    strings: Vec<u8>,
    count: u32,
}

impl Types {
    fn new() -> Self {
        Self { words: Vec::new(), strings: vec![0], count: 0 }
    }

    fn name(&mut self, name: &str) -> u32 {
        if name.is_empty() {
            return 0;
        }
        let at = self.strings.len() as u32;
        self.strings.extend(name.bytes().chain([0]));
        at
    }

    fn add(&mut self, name: &str, kind: u32, count: u32, size_or_type: u32, tail: &[u32]) -> u32 {
        let name = self.name(name);
        self.words.extend([name, kind << 24 | count, size_or_type]);
        self.words.extend(tail);
        self.count += 1;
        self.count
    }

    fn int(&mut self, name: &str, bytes: u32, encoding: u32) -> u32 {
        self.add(name, 1, 0, bytes, &[(encoding << 24) | (8 * bytes)])
    }

    fn array(&mut self, element: u32, count: u32) -> u32 {
        self.add("", 3, 0, 0, &[element, element, count])
    }

    /// `kind` is 4 for structs, 5 for unions; members are name, type, bit offset, bits.
    fn composite(
        &mut self,
        name: &str,
        kind: u32,
        size: u32,
        members: &[(&str, u32, u32, u32)],
    ) -> u32 {
        let flag = u32::from(members.iter().any(|m| m.3 > 0)) << 7;
        let mut tail = Vec::new();
        for (name, ty, offset, bits) in members {
            tail.extend([self.name(name), *ty, offset | bits << 24]);
        }
        self.add(name, kind | flag, members.len() as u32, size, &tail)
    }

    fn btf(&self) -> Btf {
        let len = 4 * self.words.len() as u32;
        let mut bytes = 0xeb9f_u16.to_ne_bytes().to_vec();
        bytes.extend([1, 0]);
        for word in [24, 0, len, len, self.strings.len() as u32].iter().chain(&self.words) {
            bytes.extend(word.to_ne_bytes());
        }
        bytes.extend(&self.strings);
        Btf::parse(&bytes).unwrap()
    }
}

fn one(build: impl FnOnce(&mut Types) -> u32) -> (Btf, u32) {
    let mut types = Types::new();
    let id = build(&mut types);
    (types.btf(), id)
}

/// Bytes, how they are printed, and other ways to write them.
fn check((btf, id): &(Btf, u32), bytes: &[u8], printed: Value, also: &[Value]) {
    assert_eq!(to_json(btf, *id, bytes), printed);
    for form in also.iter().chain([&printed]) {
        assert_eq!(from_json(btf, *id, form).as_deref(), Ok(bytes), "{form}");
    }
}

#[test]
fn numbers_take_the_forms_people_write() {
    let u32_ = one(|t| t.int("unsigned int", 4, 0));
    check(
        &u32_,
        &80_u32.to_ne_bytes(),
        json!(80),
        &[json!("80"), json!("0x50"), json!("0b1010000"), json!(" 80 "), json!("+80")],
    );
    check(
        &u32_,
        &[10, 0, 0, 1],
        json!(u32::from_ne_bytes([10, 0, 0, 1])),
        &[json!("10.0.0.1"), json!("a 0 0 1"), json!("be:0x0a000001")],
    );
    let i16_ = one(|t| t.int("short", 2, 1));
    check(&i16_, &(-2_i16).to_ne_bytes(), json!(-2), &[json!("-2"), json!("0xfffe")]);
    let bool_ = one(|t| t.int("_Bool", 1, 4));
    check(&bool_, &[1], json!(true), &[json!(1), json!("1")]);
    assert_eq!(to_json(&bool_.0, bool_.1, &[7]), json!(7));
    let wide = one(|t| t.int("unsigned __int128", 16, 0));
    let address = "2001:db8::1".parse::<std::net::Ipv6Addr>().unwrap().octets();
    assert_eq!(from_json(&wide.0, wide.1, &json!("2001:db8::1")).unwrap(), address);
    check(&wide, &[&7_u64.to_ne_bytes()[..], &[0; 8]].concat(), json!(7), &[]);
    let double = one(|t| t.add("double", 16, 0, 8, &[]));
    check(&double, &1.5_f64.to_ne_bytes(), json!(1.5), &[json!("1.5")]);
}

#[test]
fn what_does_not_fit_says_what_would() {
    let (btf, id) = one(|t| {
        let byte = t.int("unsigned char", 1, 0);
        let list = t.array(byte, 3);
        t.composite("s", 4, 4, &[("a", byte, 0, 0), ("b", list, 8, 0)])
    });
    for (value, message) in [
        (json!({"a": 256}), "'a': 256 is not between 0 and 255"),
        (json!({"a": -1}), "'a': -1 is not between 0 and 255"),
        (json!({"a": "x"}), "'a': expected a number, found \"x\""),
        (json!({"c": 1}), "'c': no such field; there are a, b"),
        (json!({"b": [1, 2, 3, 4]}), "'b': a list of 4 where 3 fit"),
        (json!({"b": [1, 300]}), "'b[1]': 300 is not between 0 and 255"),
        (json!(3), "expected an object, found 3"),
        (json!("1 2"), "expected an object with a, b, or 4 bytes, found \"1 2\""),
    ] {
        assert_eq!(from_json(&btf, id, &value).unwrap_err().to_string(), message);
    }
    assert!(from_json(&btf, 99, &json!(1)).is_err());
}

#[test]
fn network_order_types_read_as_on_the_wire() {
    let (btf, flow) = one(|t| {
        let (u16_, u32_) = (t.int("unsigned short", 2, 0), t.int("unsigned int", 4, 0));
        let (be16, be32) = (t.add("__be16", 8, 0, u16_, &[]), t.add("__be32", 8, 0, u32_, &[]));
        t.composite("flow", 4, 8, &[("address", be32, 0, 0), ("port", be16, 32, 0)])
    });
    let bytes = [192, 0, 2, 1, 0, 53, 0, 0];
    let printed = json!({"address": "192.0.2.1", "port": 53});
    let number = json!({"address": 0xc000_0201_u32, "port": "0x35"});
    check(&(btf, flow), &bytes, printed, &[number, json!("c0 0 2 1 0 35 0 0")]);
}

#[test]
fn prefixes_are_written_as_such() {
    let key = one(|t| {
        let (u32_, byte) = (t.int("unsigned int", 4, 0), t.int("unsigned char", 1, 0));
        let address = t.array(byte, 4);
        t.composite("key", 4, 8, &[("bits", u32_, 0, 0), ("address", address, 32, 0)])
    });
    let printed = json!({"bits": 8, "address": "0x0a000000"});
    check(&key, &[8, 0, 0, 0, 10, 0, 0, 0], printed, &[json!("10.0.0.0/8")]);
    for bad in ["10.0.0.0/33", "10.0.0/8", "::/8", "10.0.0.0/x"] {
        assert!(from_json(&key.0, key.1, &json!(bad)).is_err(), "{bad}");
    }
}

#[test]
fn bytes_are_text_addresses_or_digits() {
    let bytes = |name: &'static str, count| {
        one(move |t| {
            let byte = t.int(name, 1, 0);
            t.array(byte, count)
        })
    };
    let mac = bytes("unsigned char", 6);
    check(
        &mac,
        &[2, 0, 0, 0, 0, 0xff],
        json!("02:00:00:00:00:ff"),
        &[json!([2, 0, 0, 0, 0, 255]), json!("2 0 0 0 0 ff"), json!("0x0200000000ff")],
    );
    let address = bytes("unsigned char", 16);
    let loopback = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    check(&address, &loopback, json!("0x00000000000000000000000000000001"), &[json!("::1")]);
    let name = bytes("char", 8);
    check(&name, b"eth0\0\0\0\0", json!("eth0"), &[json!([101, 116, 104, 48])]);
    check(&name, &[b'a', 0, b'b', 0, 0, 0, 0, 0], json!([97, 0, 98, 0, 0, 0, 0, 0]), &[]);
    let in6 = one(|t| {
        let byte = t.int("unsigned char", 1, 0);
        let octets = t.array(byte, 16);
        t.composite("in6_addr", 4, 16, &[("octets", octets, 0, 0)])
    });
    check(&in6, &loopback, json!("::1"), &[]);
}

#[test]
fn bit_fields_enumerations_and_nameless_members() {
    // struct { u32 a:3; s32 b:5; enum { LOW = -1, HIGH = 4 } e; union { u32 x; u8 y[4]; }; }
    let s = one(|t| {
        let (u, i, byte) =
            (t.int("unsigned int", 4, 0), t.int("int", 4, 1), t.int("unsigned char", 1, 0));
        let (low, high) = (t.name("LOW"), t.name("HIGH"));
        let e = t.add("e", 6 | 1 << 7, 2, 4, &[low, u32::MAX, high, 4]);
        let four = t.array(byte, 4);
        let union = t.composite("", 5, 4, &[("x", u, 0, 0), ("y", four, 0, 0)]);
        t.composite(
            "s",
            4,
            12,
            &[("a", u, 0, 3), ("b", i, 3, 5), ("e", e, 32, 0), ("", union, 64, 0)],
        )
    });
    let bytes = [0b1111_0101, 0, 0, 0, 255, 255, 255, 255, 1, 0, 0, 0];
    let printed = json!({"a": 5, "b": -2, "e": "LOW", "x": 1, "y": "0x01000000"});
    check(&s, &bytes, printed, &[json!({"a": 5, "b": "-2", "e": -1, "y": [1]})]);
    let error = from_json(&s.0, s.1, &json!({"x": 1, "y": [2]})).unwrap_err();
    assert!(error.what.contains("contradicts"), "{error}");
    let error = from_json(&s.0, s.1, &json!({"e": "MIDDLE"})).unwrap_err();
    assert!(error.what.contains("LOW, HIGH"), "{error}");
    assert_eq!(from_json(&s.0, s.1, &json!({"a": 8})).unwrap_err().path, "a");
    let mut there = bytes;
    update(&s.0, s.1, &json!({"a": 0}), &mut there).unwrap();
    assert_eq!(there[0], 0b1111_0000, "the other fields stay");
}

#[test]
fn data_sections_are_objects_of_variables() {
    let object = crate::programs::get("vlan_push").unwrap().object;
    let module = crate::Module::parse("vlan_push", object).unwrap();
    let btf = Btf::parse(&module.btf).unwrap();
    let rodata = module.maps.iter().find(|m| m.name == ".rodata").unwrap();
    let id = rodata.value_type_id.unwrap();
    let printed = to_json(&btf, id, &rodata.data);
    assert_eq!(printed, json!({"vlan_id": 7, "priority": 0}));
    let mut data = rodata.data.clone();
    update(&btf, id, &json!({"priority": 5}), &mut data).unwrap();
    assert_eq!(to_json(&btf, id, &data), json!({"vlan_id": 7, "priority": 5}));
}

#[test]
fn nonsense_becomes_digits_and_ends() {
    // struct s { struct s a, b; } and an array of 2^32 - 1 times nothing.
    let (btf, s) = one(|t| t.composite("s", 4, 8, &[("a", 1, 0, 0), ("b", 1, 0, 0)]));
    assert_eq!(to_json(&btf, s, &[0; 8]), json!("0x0000000000000000"));
    let (btf, list) = one(|t| {
        let nothing = t.composite("n", 4, 0, &[]);
        t.array(nothing, u32::MAX)
    });
    assert_eq!(to_json(&btf, list, &[]), json!([]));
    assert_eq!(to_json(&btf, 0, &[1, 2]), json!("0x0102"));
    assert_eq!(to_json(&btf, list, &[1]), json!("0x01"), "the size is wrong");
}

proptest! {
    /// What is printed can be read back to the same bytes, for every type of the programs that come
    /// with hoist whose bytes all count.
    #[test]
    fn printed_values_read_back(seed in proptest::collection::vec(any::<u8>(), 64)) {
        for name in ["acl", "count_proto", "lpm_block", "ringbuf", "subprog", "globals"] {
            let object = crate::programs::get(name).unwrap().object;
            let module = crate::Module::parse(name, object).unwrap();
            let btf = Btf::parse(&module.btf).unwrap();
            for ty in btf.types() {
                let Some(size) = btf.size_of(ty.id()).filter(|s| (1..=64).contains(s)) else { continue };
                let bytes = &seed[..size as usize];
                let printed = to_json(&btf, ty.id(), bytes);
                if matches!(printed, Value::String(_)) && from_json(&btf, ty.id(), &printed).is_err() {
                    continue; // types without values, such as functions' tags
                }
                let back = from_json(&btf, ty.id(), &printed).unwrap();
                prop_assert_eq!(to_json(&btf, ty.id(), &back), printed.clone(), "{} {}", name, ty.name());
                if !ty.name().is_empty() && ["flow", "rule", "prefix", "counter", "event"].contains(&ty.name()) {
                    prop_assert_eq!(back.as_slice(), bytes, "{}", printed);
                }
            }
        }
    }
}
