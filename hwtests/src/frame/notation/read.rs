//! From a line to a frame.

use super::cursor::{Cursor, wrong};
use super::{Names, NotationError};
use crate::frame::{Frame, counting, protocol, tcp};

/// More bytes than any frame has, merged ones included.
const LONGEST: usize = 1 << 18;

/// The first words of layers.
const LAYERS: &str = "a layer: eth, vlan, service-vlan, mpls, llc, arp, ipv4, ipv6, hop-by-hop, routing, \
                      fragment, destination, udp, tcp, icmp, 'text', bytes, hex, pad, cut, patch, insert or remove";

pub(super) fn frame(line: &str, names: &Names) -> Result<Frame, NotationError> {
    let mut words = Cursor::new(line, names)?;
    let start = words.next();
    let mut frame = match start.text {
        "eth" => {
            let src = words.mac()?;
            words.expect(">")?;
            let mut frame = Frame::eth(src, words.mac()?);
            while !words.ends() {
                words.expect("type")?;
                frame = frame.next(words.number("an ethertype")?);
            }
            frame
        }
        "raw" => Frame::raw(&words.bytes()?),
        _ => return Err(wrong(start, "'eth' or 'raw'")),
    };
    while !words.peek().text.is_empty() {
        words.expect("/")?;
        frame = layer(frame, &mut words)?;
        if !words.ends() {
            return Err(wrong(words.peek(), "'/'"));
        }
    }
    Ok(frame)
}

fn layer(frame: Frame, words: &mut Cursor<'_>) -> Result<Frame, NotationError> {
    let first = words.next();
    Ok(match first.text {
        "vlan" => tag(words, |tci| frame.vlan(tci))?,
        "service-vlan" => tag(words, |tci| frame.service_vlan(tci))?,
        "mpls" => {
            let label = words.at_most(0xf_ffff, "a label")? as u32;
            let frame = frame.mpls(label);
            if words.take("ttl") { frame.ttl(words.number("a TTL")?) } else { frame }
        }
        "llc" => {
            frame.llc(words.number("a DSAP")?, words.number("an SSAP")?, words.number("a control")?)
        }
        "arp" => arp(frame, words)?,
        "ipv4" => ipv4(frame, words)?,
        "ipv6" => {
            let src = words.ipv6()?;
            words.expect(">")?;
            let mut frame = frame.ipv6(src, words.ipv6()?);
            while !words.ends() {
                let option = words.next();
                frame = match option.text {
                    "hops" => frame.ttl(words.number("a hop limit")?),
                    "next" => frame.next(words.number("a next header")?),
                    "length" => frame.length(words.number("a length")?),
                    _ => return Err(wrong(option, "'hops', 'next', 'length' or '/'")),
                };
            }
            frame
        }
        "hop-by-hop" => extension(frame, protocol::HOP_BY_HOP, words)?,
        "routing" => extension(frame, protocol::ROUTING, words)?,
        "fragment" => extension(frame, protocol::FRAGMENT, words)?,
        "destination" => extension(frame, protocol::DESTINATION, words)?,
        "udp" => {
            let (src, dst) = ports(words)?;
            let mut frame = frame.udp(src, dst);
            while !words.ends() {
                let option = words.next();
                frame = match option.text {
                    "length" => frame.length(words.number("a length")?),
                    "checksum" => frame.checksum(words.number("a checksum")?),
                    _ => return Err(wrong(option, "'length', 'checksum' or '/'")),
                };
            }
            frame
        }
        "tcp" => segment(frame, words)?,
        "icmp" => {
            words.expect("echo")?;
            let frame =
                frame.echo(words.number("an identifier")?, words.number("a sequence number")?);
            if words.take("checksum") { frame.checksum(words.number("a checksum")?) } else { frame }
        }
        "bytes" => frame.payload(&counting(words.at_most(LONGEST, "a count")?)),
        "hex" => frame.payload(&words.bytes()?),
        "pad" => frame.pad_to(words.at_most(LONGEST, "a length")?),
        "cut" => frame.cut_to(words.at_most(LONGEST, "a length")?),
        "patch" => {
            let offset = words.at_most(LONGEST, "an offset")?;
            frame.patch(offset, &words.bytes()?)
        }
        "insert" => {
            let offset = words.at_most(LONGEST, "an offset")?;
            frame.insert(offset, &words.bytes()?)
        }
        "remove" => {
            let offset = words.at_most(LONGEST, "an offset")?;
            frame.remove(offset, words.at_most(LONGEST, "a count")?)
        }
        text if text.len() >= 2 && text.starts_with(['\'', '"']) => {
            frame.payload(&text.as_bytes()[1..text.len() - 1])
        }
        _ => return Err(wrong(first, LAYERS)),
    })
}

fn tag(words: &mut Cursor<'_>, push: impl FnOnce(u16) -> Frame) -> Result<Frame, NotationError> {
    let mut tci = words.at_most(4095, "a VLAN id")? as u16;
    let mut next = None;
    while !words.ends() {
        let option = words.next();
        match option.text {
            "priority" => tci |= (words.at_most(7, "a priority")? as u16) << 13,
            "drop" => tci |= 1 << 12,
            "type" => next = Some(words.number("an ethertype")?),
            _ => return Err(wrong(option, "'priority', 'drop', 'type' or '/'")),
        }
    }
    let frame = push(tci);
    Ok(match next {
        Some(number) => frame.next(number),
        None => frame,
    })
}

fn arp(frame: Frame, words: &mut Cursor<'_>) -> Result<Frame, NotationError> {
    let operation = words.next();
    let sender = words.host()?;
    words.expect(">")?;
    let target = words.host()?;
    match operation.text {
        "request" => Ok(frame.arp_request(sender, target.1)),
        "reply" => Ok(frame.arp_reply(sender, target)),
        _ => Err(wrong(operation, "'request' or 'reply'")),
    }
}

fn ipv4(frame: Frame, words: &mut Cursor<'_>) -> Result<Frame, NotationError> {
    let src = words.ipv4()?;
    words.expect(">")?;
    let mut frame = frame.ipv4(src, words.ipv4()?);
    while !words.ends() {
        let option = words.next();
        frame = match option.text {
            "ttl" => frame.ttl(words.number("a TTL")?),
            "tos" => frame.tos(words.number("a type of service")?),
            "fragment" => frame.fragment(words.number("flags and offset")?),
            "options" => frame.options(&words.bytes()?),
            "protocol" => frame.next(words.number::<u8>("a protocol")?.into()),
            "length" => frame.length(words.number("a length")?),
            "checksum" => frame.checksum(words.number("a checksum")?),
            _ => {
                let forms =
                    "'ttl', 'tos', 'fragment', 'options', 'protocol', 'length', 'checksum' or '/'";
                return Err(wrong(option, forms));
            }
        };
    }
    Ok(frame)
}

fn extension(frame: Frame, kind: u8, words: &mut Cursor<'_>) -> Result<Frame, NotationError> {
    let bare = words.ends() || matches!(words.peek().text, "next" | "length");
    let body = if bare { Vec::new() } else { words.bytes()? };
    let mut frame = frame.extension(kind, &body);
    while !words.ends() {
        let option = words.next();
        frame = match option.text {
            "next" => frame.next(words.number("a next header")?),
            "length" => frame.length(words.number("a length")?),
            _ => return Err(wrong(option, "'next', 'length' or '/'")),
        };
    }
    Ok(frame)
}

fn ports(words: &mut Cursor<'_>) -> Result<(u16, u16), NotationError> {
    let src = words.number("a port")?;
    words.expect(">")?;
    Ok((src, words.number("a port")?))
}

fn segment(frame: Frame, words: &mut Cursor<'_>) -> Result<Frame, NotationError> {
    let (src, dst) = ports(words)?;
    let (mut flags, mut checksum) = (0, None);
    while !words.ends() {
        let option = words.next();
        match option.text {
            "syn" => flags |= tcp::SYN,
            "ack" => flags |= tcp::ACK,
            "fin" => flags |= tcp::FIN,
            "rst" => flags |= tcp::RST,
            "psh" => flags |= tcp::PSH,
            "checksum" => checksum = Some(words.number("a checksum")?),
            _ => return Err(wrong(option, "'syn', 'ack', 'fin', 'rst', 'psh', 'checksum' or '/'")),
        }
    }
    let frame = frame.tcp(src, dst, flags);
    Ok(match checksum {
        Some(sum) => frame.checksum(sum),
        None => frame,
    })
}
