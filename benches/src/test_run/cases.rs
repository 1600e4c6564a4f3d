//! The corpus, each program with the frame that takes its longest path.

use hoist_hwtests::frame::{Frame, mac};

use super::load::Entry;
use super::side::{Runs, Verdict};

/// What a program does to the frame, which says what its translation may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Reads it.
    Reads,
    /// Writes it, or sends it elsewhere; its length and its EtherType stay.
    Writes,
    /// Changes its length or its EtherType, for which the kernel has helpers.
    Resizes {
        /// The form that does nothing but call those.
        bare: &'static str,
    },
}

/// One row of the table.
#[derive(Clone, Debug)]
pub struct Case {
    /// Program of the corpus.
    pub name: &'static str,
    /// What it does to this frame.
    pub effect: Effect,
    /// The frame, without its VLAN tag.
    pub frame: Frame,
    /// What is special about the frame, where a program comes twice; else empty.
    pub note: &'static str,
    /// Whether the frame comes with a VLAN tag: in the data for XDP, in the buffer's description for
    /// TC.
    pub tagged: bool,
    /// How often it may run on one frame.
    pub runs: Runs,
    /// What it says.
    pub verdict: Verdict,
    /// What is in its maps.
    pub entries: Vec<Entry>,
}

impl Case {
    const fn new(name: &'static str, effect: Effect, frame: Frame) -> Self {
        let (runs, verdict) = (Runs::Many, Verdict::Pass);
        Self { name, effect, frame, note: "", tagged: false, runs, verdict, entries: Vec::new() }
    }

    fn runs(self, runs: Runs) -> Self {
        Self { runs, ..self }
    }

    fn verdict(self, verdict: Verdict) -> Self {
        Self { verdict, ..self }
    }

    /// Sets the first element of an array-like map.
    fn first(self, map: &'static str, value: u32) -> Self {
        self.entry(map, &0_u32.to_ne_bytes(), &value.to_ne_bytes())
    }

    fn entry(mut self, map: &'static str, key: &[u8], value: &[u8]) -> Self {
        self.entries.push((map, key.to_vec(), value.to_vec()));
        self
    }

    fn tagged(self) -> Self {
        Self { tagged: true, note: "tagged", runs: Runs::Once, ..self }
    }

    fn long(self) -> Self {
        Self { note: "122 bytes", frame: padded(80), ..self }
    }

    /// The program, and what is special about its frame.
    #[must_use]
    pub fn title(&self) -> String {
        if self.note.is_empty() {
            self.name.to_owned()
        } else {
            format!("{}, {}", self.name, self.note)
        }
    }

    /// The frame as XDP sees it.
    #[must_use]
    pub fn frame_at_xdp(&self) -> Vec<u8> {
        /// Where a tag stands, and the one that the form `setup_tagged` puts on: 802.1Q, VLAN 7.
        const PLACE: usize = 12;
        const TAG: [u8; 4] = [0x81, 0, 0, 7];
        let mut bytes = self.frame_at_tc();
        if self.tagged {
            bytes.splice(PLACE..PLACE, TAG);
        }
        bytes
    }

    /// The frame's data as TC gets it.
    #[must_use]
    pub fn frame_at_tc(&self) -> Vec<u8> {
        self.frame.bytes()
    }
}

/// Index of the loopback device. A test run redirects nothing, so any device will do.
const LOOPBACK: u32 = 1;

const FAR: [u8; 4] = [10, 0, 0, 2];
const NEAR: [u8; 4] = [10, 0, 0, 1];
const PORTS: (u16, u16) = (4000, 53);

fn eth() -> Frame {
    Frame::eth(mac(2), mac(1))
}

/// UDP with so many bytes of payload.
fn padded(payload: usize) -> Frame {
    eth().ipv4(FAR, NEAR).udp(PORTS.0, PORTS.1).payload(&vec![7; payload])
}

/// 60 bytes, the shortest there is on a wire, for which rates are quoted (as 64, with the FCS).
fn datagram() -> Frame {
    padded(18)
}

fn tunnelled() -> Frame {
    let outer = eth().ipv4([192, 0, 2, 1], [192, 0, 2, 2]);
    outer.ipv4(FAR, NEAR).udp(PORTS.0, PORTS.1).payload(&[7; 18])
}

/// Every program of the corpus that has a TC form, by name; a program comes twice where two kinds of
/// frame are worth a row each.
#[must_use]
pub fn cases() -> Vec<Case> {
    use Effect::{Reads, Resizes, Writes};
    let on = |name, effect| Case::new(name, effect, datagram());
    let (source, destination) = (PORTS.0.to_be_bytes(), PORTS.1.to_be_bytes());
    let flow = [&FAR[..], &NEAR, &source, &destination, &[17, 0, 0, 0]].concat();
    let prefix = [&8_u32.to_ne_bytes()[..], &FAR].concat();
    vec![
        on("acl", Reads).entry("rules", &flow, &[0; 16]),
        on("bytes", Writes).runs(Runs::UpTo(60)),
        on("count_proto", Reads),
        on("drop", Reads).verdict(Verdict::Drop),
        on("frags", Reads),
        on("globals", Reads),
        Case::new("ipip_decap", Resizes { bare: "bare_ipip_decap" }, tunnelled()).runs(Runs::Once),
        on("ipip_encap", Resizes { bare: "bare_ipip_encap" }).runs(Runs::Once),
        on("loop", Reads).long(),
        on("lpm_block", Reads)
            .entry("blocked", &prefix, &1_u32.to_ne_bytes())
            .verdict(Verdict::Drop),
        on("pass", Reads),
        on("pass", Resizes { bare: "bare_tagged" }).tagged(),
        on("redirect", Writes).first("target", LOOPBACK).verdict(Verdict::Out),
        on("redirect", Writes).long().first("target", LOOPBACK).verdict(Verdict::Out),
        on("redirect_devmap", Writes).first("ports", LOOPBACK).verdict(Verdict::Out),
        on("ringbuf", Reads).runs(Runs::UpToFull(2_000)),
        on("subprog", Reads),
        on("swap_tx", Writes).verdict(Verdict::Out),
        on("tail_call", Reads),
        on("tail_shrink", Resizes { bare: "bare_tail_shrink" }).long().runs(Runs::Once),
        on("vlan_pop", Resizes { bare: "bare_vlan_pop" }).tagged(),
        on("vlan_push", Resizes { bare: "bare_vlan_push" }).runs(Runs::Once),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::forms;

    #[test]
    fn every_port_has_a_row_and_every_bare_form_exists() {
        let rows: BTreeSet<&str> = cases().iter().map(|case| case.name).collect();
        let helpers = |name: &str| name.starts_with("bare_") || name.starts_with("setup_");
        let ports: BTreeSet<&str> =
            forms::LIST.iter().map(|form| form.name).filter(|name| !helpers(name)).collect();
        assert_eq!(rows, ports);
        for case in cases() {
            if let Effect::Resizes { bare } = case.effect {
                assert!(forms::get(bare).is_some(), "{bare}");
            }
        }
    }
}
