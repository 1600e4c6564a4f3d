//! Words of a line, with their columns.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{Names, NotationError};
use crate::frame::Mac;

/// A word, a quoted text (quotes included) or the end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word<'a> {
    pub(super) text: &'a str,
    pub(super) column: usize,
}

#[derive(Debug)]
pub(super) struct Cursor<'a> {
    words: Vec<Word<'a>>,
    at: usize,
    names: &'a Names,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(line: &'a str, names: &'a Names) -> Result<Self, NotationError> {
        let mut words = Vec::new();
        let mut rest = line.char_indices().enumerate().peekable();
        while let Some((index, (start, first))) = rest.next() {
            if first.is_whitespace() {
                continue;
            }
            let column = index + 1;
            let quoted = matches!(first, '\'' | '"');
            let mut end = start + first.len_utf8();
            let mut closed = false;
            while let Some(&(_, (at, c))) = rest.peek() {
                if !quoted && c.is_whitespace() {
                    break;
                }
                rest.next();
                end = at + c.len_utf8();
                if quoted && c == first {
                    closed = true;
                    break;
                }
            }
            if quoted && !closed {
                let found = line[start..].to_owned();
                let expected = format!("a text that ends with {first}");
                return Err(NotationError { column, expected, found });
            }
            words.push(Word { text: &line[start..end], column });
        }
        words.push(Word { text: "", column: line.chars().count() + 1 });
        Ok(Self { words, at: 0, names })
    }

    /// The word at hand; empty at the end.
    pub(super) fn peek(&self) -> Word<'a> {
        self.words[self.at]
    }

    pub(super) fn next(&mut self) -> Word<'a> {
        let word = self.peek();
        self.at = (self.at + 1).min(self.words.len() - 1);
        word
    }

    /// Takes the word if it is this one.
    pub(super) fn take(&mut self, text: &str) -> bool {
        let found = self.peek().text == text;
        if found {
            self.next();
        }
        found
    }

    /// Whether the layer is over.
    pub(super) fn ends(&self) -> bool {
        matches!(self.peek().text, "" | "/")
    }

    pub(super) fn expect(&mut self, text: &str) -> Result<(), NotationError> {
        if self.take(text) { Ok(()) } else { Err(wrong(self.peek(), format!("'{text}'"))) }
    }

    pub(super) fn number<N: TryFrom<u64>>(&mut self, what: &str) -> Result<N, NotationError> {
        let word = self.next();
        let value = match word.text.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16),
            None => word.text.parse(),
        };
        let value = value.ok().and_then(|v| N::try_from(v).ok());
        value.ok_or_else(|| wrong(word, format!("{what}, a number of {} bits", 8 * size_of::<N>())))
    }

    pub(super) fn at_most(&mut self, most: usize, what: &str) -> Result<usize, NotationError> {
        let word = self.peek();
        match self.number::<u32>(what)? as usize {
            value if value <= most => Ok(value),
            _ => Err(wrong(word, format!("{what} of at most {most}"))),
        }
    }

    pub(super) fn bytes(&mut self) -> Result<Vec<u8>, NotationError> {
        let word = self.next();
        from_hex(word.text).ok_or_else(|| wrong(word, "pairs of hex digits"))
    }

    pub(super) fn mac(&mut self) -> Result<Mac, NotationError> {
        let word = self.next();
        self.to_mac(word.text).ok_or_else(|| wrong(word, self.address_forms("a MAC address")))
    }

    pub(super) fn ipv4(&mut self) -> Result<Ipv4Addr, NotationError> {
        let word = self.next();
        self.to_ipv4(word.text).ok_or_else(|| wrong(word, self.address_forms("an IPv4 address")))
    }

    pub(super) fn ipv6(&mut self) -> Result<Ipv6Addr, NotationError> {
        let word = self.next();
        let named = self.names.get(word.text).map(|s| s.ipv6);
        let address = named.or_else(|| word.text.parse().ok());
        address.ok_or_else(|| wrong(word, self.address_forms("an IPv6 address")))
    }

    /// A name, or `MAC@IP`.
    pub(super) fn host(&mut self) -> Result<(Mac, Ipv4Addr), NotationError> {
        let word = self.next();
        let pair = match word.text.split_once('@') {
            Some((mac, ip)) => self.to_mac(mac).zip(self.to_ipv4(ip)),
            None => self.names.get(word.text).map(|s| (s.mac, s.ipv4)),
        };
        pair.ok_or_else(|| wrong(word, self.address_forms("MAC@IP")))
    }

    fn to_mac(&self, text: &str) -> Option<Mac> {
        if let Some(station) = self.names.get(text) {
            return Some(station.mac);
        }
        let bytes: Option<Vec<u8>> = text
            .split(':')
            .map(|b| if b.len() == 2 { u8::from_str_radix(b, 16).ok() } else { None })
            .collect();
        bytes?.try_into().ok()
    }

    fn to_ipv4(&self, text: &str) -> Option<Ipv4Addr> {
        self.names.get(text).map(|s| s.ipv4).or_else(|| text.parse().ok())
    }

    fn address_forms(&self, usual: &str) -> String {
        let names: Vec<&str> = self.names.stations.iter().map(|s| s.name.as_str()).collect();
        format!("{usual} or one of {}", names.join(", "))
    }
}

pub(super) fn wrong(word: Word<'_>, expected: impl Into<String>) -> NotationError {
    NotationError { column: word.column, expected: expected.into(), found: word.text.to_owned() }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if text.is_empty()
        || !text.len().is_multiple_of(2)
        || !text.bytes().all(|b| b.is_ascii_hexdigit())
    {
        return None;
    }
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).ok()).collect()
}
