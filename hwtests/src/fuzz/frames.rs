//! Random frames, built so that programs get past their first checks.

use super::Random;
use crate::frame::{BROADCAST, Frame, ethertype, mac};

/// Shortest frame that any engine shows a program, in bytes: an Ethernet header.
pub const SHORTEST: usize = 14;
/// Longest frame here: an Ethernet header and 1500 bytes.
pub const LONGEST: usize = 1514;

/// Bytes of Ethernet and of the IPv4 or IPv6 header, below which a test run of a TC program is
/// refused for a frame of that type (`bpf_prog_test_run_skb`).
const LEAST_IPV4: usize = 14 + 20;
const LEAST_IPV6: usize = 14 + 40;

/// Frames to start from.
#[derive(Clone, Debug)]
pub struct Pool {
    frames: Vec<Vec<u8>>,
}

impl Default for Pool {
    fn default() -> Self {
        Self { frames: structured().iter().map(Frame::bytes).collect() }
    }
}

fn structured() -> Vec<Frame> {
    let (near, far, other) = ([10, 0, 0, 1], [10, 0, 0, 2], [10, 0, 0, 77]);
    let six = |n: u16| [0xfd00, 0, 0, 0, 0, 0, 0, n];
    let eth = || Frame::eth(mac(2), mac(1));
    let ip = || eth().ipv4(far, near);
    let text = b"hello, hoist, this is a payload of some length to look at";
    vec![
        ip().udp(4000, 53).payload(text),
        ip().udp(1000, 2000).payload(b"hello"),
        ip().ttl(1).udp(4000, 1000),
        ip().options(&[1, 1, 1, 0]).udp(4000, 53).payload(text),
        ip().tcp(4000, 80, 2),
        ip().tcp(80, 4000, 16).payload(text),
        eth().ipv4(other, near).udp(53, 4000).payload(text),
        ip().echo(1, 2).payload(text),
        ip().fragment(0x2000).udp(4000, 53).payload(text),
        Frame::eth(mac(2), BROADCAST).arp_request((mac(2), far), near),
        Frame::eth(mac(2), [1, 0, 0x5e, 0, 0, 5]).ipv4(far, [224, 0, 0, 5]).udp(520, 520),
        Frame::eth(mac(3), mac(9)).ipv4(far, near).udp(4000, 53).payload(text),
        eth().vlan(7).ipv4(far, near).udp(4000, 53).payload(text),
        eth().vlan(0).ipv4(far, near).tcp(4000, 80, 2),
        eth().vlan(0xe000).ipv6(six(2), six(1)).udp(4000, 53),
        eth().service_vlan(100).vlan(7).ipv4(far, near).udp(4000, 53).payload(text),
        eth().vlan(5).vlan(6).ipv4(far, near).tcp(80, 4000, 16),
        eth().service_vlan(3).ipv6(six(2), six(1)).tcp(4000, 80, 2),
        eth().vlan(9).arp_request((mac(2), far), near),
        eth().ipv6(six(2), six(1)).udp(4000, 53).payload(text),
        eth().ipv6(six(2), six(1)).tcp(4000, 80, 2).payload(text),
        eth().ipv6(six(2), six(1)).extension(0, &[0; 6]).udp(4000, 53).payload(text),
        ip().ipv4(other, near).udp(4000, 53).payload(text),
        ip().ipv6(six(2), six(1)).udp(4000, 53).payload(text),
        eth().mpls(16).ipv4(far, near).udp(4000, 53),
        eth().llc(0x42, 0x42, 3).payload(text),
        eth().payload(text),
        eth(),
        Frame::raw(&[0; 60]),
    ]
}

impl Pool {
    /// Writes one frame over `frame`.
    pub fn write(&self, random: &mut Random, frame: &mut Vec<u8>) {
        frame.clear();
        let start = random.below(self.frames.len() as u32) as usize;
        frame.extend(&self.frames[start]);
        match random.below(10) {
            // Padded as by a card, or longer.
            0..2 => frame.resize(frame.len().max(60), 0),
            2..4 => {
                let length =
                    random.pick(&[64, 83, 128, 200, 300, 500, 614, 618, 619, 1000, LONGEST]);
                let from = frame.len();
                for at in from..length.max(from) {
                    frame.push(at as u8);
                }
            }
            4 => frame.truncate(random.between(SHORTEST as i32, 64) as usize),
            _ => {}
        }
        // A few bytes that programs look at, and a few anywhere.
        if random.chance(40) {
            let at = random.below(frame.len().min(54) as u32) as usize;
            frame[at] = random.word() as u8;
        }
        if random.chance(30) {
            let at = 14 + random.below(40) as usize;
            if let Some(bytes) = frame.get_mut(at..at + 4) {
                bytes.copy_from_slice(&(random.word() as u32).to_ne_bytes());
            }
        }
        admissible(frame);
    }
}

/// Changes a frame that a TC program cannot be tried on into one that it can.
pub fn admissible(frame: &mut Vec<u8>) {
    if frame.len() < SHORTEST {
        frame.resize(SHORTEST, 0);
    }
    let least = match u16::from_be_bytes([frame[12], frame[13]]) {
        ethertype::IPV4 => LEAST_IPV4,
        ethertype::IPV6 => LEAST_IPV6,
        _ => SHORTEST,
    };
    if frame.len() < least {
        // 0x88b5, local experimental.
        frame[12..14].copy_from_slice(&[0x88, 0xb5]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_of_admissible_length_and_of_every_kind() {
        let (pool, mut random, mut frame) = (Pool::default(), Random::new(1, 1), Vec::new());
        let mut types = std::collections::BTreeSet::new();
        let mut lengths = std::collections::BTreeSet::new();
        for _ in 0..5000 {
            pool.write(&mut random, &mut frame);
            let copy = frame.clone();
            admissible(&mut frame);
            assert_eq!(copy, frame);
            assert!((SHORTEST..=LONGEST).contains(&frame.len()), "{}", frame.len());
            types.insert([frame[12], frame[13]]);
            lengths.insert(frame.len());
        }
        for kind in [[8, 0], [0x86, 0xdd], [0x81, 0], [0x88, 0xa8], [8, 6], [0x88, 0x47]] {
            assert!(types.contains(&kind), "{kind:02x?}");
        }
        assert!(lengths.contains(&SHORTEST) && lengths.contains(&LONGEST));
    }
}
