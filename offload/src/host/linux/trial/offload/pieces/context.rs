//! Fields of the context: `struct xdp_md` and `struct __sk_buff` of `linux/bpf.h`.

use hoist_bpf::insn::Insn;
use hoist_bpf::opcode::{class, mode, size};

use super::super::super::XDP;
use super::super::ask::Piece;
use super::set;

/// Name, offset, size in bytes.
type Field = (&'static str, i16, u8);

const XDP_MD: [Field; 5] = [
    ("data", 0, 4),
    ("data_end", 4, 4),
    ("data_meta", 8, 4),
    ("ingress_ifindex", 12, 4),
    ("rx_queue_index", 16, 4),
];

/// The only field of XDP's that a program may write, and only one for a device (`xdp_is_valid_access`).
const XDP_WRITABLE: [Field; 1] = [("rx_queue_index", 16, 4)];

const SK_BUFF: [Field; 26] = [
    ("len", 0, 4),
    ("pkt_type", 4, 4),
    ("mark", 8, 4),
    ("queue_mapping", 12, 4),
    ("protocol", 16, 4),
    ("vlan_present", 20, 4),
    ("vlan_tci", 24, 4),
    ("vlan_proto", 28, 4),
    ("priority", 32, 4),
    ("ingress_ifindex", 36, 4),
    ("ifindex", 40, 4),
    ("tc_index", 44, 4),
    ("cb", 48, 4),
    ("hash", 68, 4),
    ("tc_classid", 72, 4),
    ("data", 76, 4),
    ("data_end", 80, 4),
    ("napi_id", 84, 4),
    ("data_meta", 140, 4),
    ("tstamp", 152, 8),
    ("wire_len", 160, 4),
    ("gso_segs", 164, 4),
    ("sk", 168, 8),
    ("gso_size", 176, 4),
    ("tstamp_type", 180, 1),
    ("hwtstamp", 184, 8),
];

const SK_BUFF_WRITABLE: [Field; 7] = [
    ("mark", 8, 4),
    ("queue_mapping", 12, 4),
    ("priority", 32, 4),
    ("tc_index", 44, 4),
    ("cb", 48, 4),
    ("tc_classid", 72, 4),
    ("tstamp", 152, 8),
];

/// Where a program type's context holds the packet's bounds: `data`, `data_end`.
pub(super) const fn bounds(kind: u32) -> (i16, i16) {
    if kind == XDP { (0, 4) } else { (76, 80) }
}

/// Reading and writing, field by field.
pub(in super::super) fn pieces(kind: u32) -> Vec<Piece> {
    let (read, write): (&[Field], &[Field]) =
        if kind == XDP { (&XDP_MD, &XDP_WRITABLE) } else { (&SK_BUFF, &SK_BUFF_WRITABLE) };
    let read = read.iter().map(|&(name, offset, bytes)| {
        let insn = Insn::new(class::LDX | mode::MEM | width(bytes), 1, 6, offset, 0);
        Piece::new(format!("read {name}"), vec![insn])
    });
    let write = write.iter().map(|&(name, offset, bytes)| {
        let insn = Insn::new(class::STX | mode::MEM | width(bytes), 6, 1, offset, 0);
        Piece::new(format!("write {name}"), vec![set(1, 0), insn])
    });
    read.chain(write).collect()
}

const fn width(bytes: u8) -> u8 {
    match bytes {
        1 => size::B,
        2 => size::H,
        8 => size::DW,
        _ => size::W,
    }
}
