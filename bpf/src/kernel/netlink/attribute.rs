//! Attributes: type, length, value, padded to four bytes (`struct nlattr`). Numbers are in the
//! host's byte order unless an attribute's own definition says otherwise.

const NLA_F_NESTED: u16 = 0x8000;
/// Strips `NLA_F_NESTED` and `NLA_F_NET_BYTEORDER` from `nla_type`.
const NLA_TYPE_MASK: u16 = 0x3fff;
/// `struct nlattr`, in bytes.
const HEADER: usize = 4;

/// One attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// `nla_type` without its flag bits.
    pub kind: u16,
    /// The value, without padding.
    pub value: &'a [u8],
}

impl<'a> Attribute<'a> {
    /// The value as a number of one byte.
    #[must_use]
    pub fn u8(&self) -> Option<u8> {
        self.value.first().copied()
    }

    /// The value as a number of two bytes.
    #[must_use]
    pub fn u16(&self) -> Option<u16> {
        u16_at(self.value, 0)
    }

    /// The value as a number of four bytes.
    #[must_use]
    pub fn u32(&self) -> Option<u32> {
        u32_at(self.value, 0)
    }

    /// The value as a number of eight bytes.
    #[must_use]
    pub fn u64(&self) -> Option<u64> {
        self.value.first_chunk().map(|bytes| u64::from_ne_bytes(*bytes))
    }

    /// A number of whatever width the kernel chose (`uint` in its netlink specifications: four or
    /// eight bytes).
    #[must_use]
    pub fn uint(&self) -> Option<u64> {
        match self.value.len() {
            1 => self.u8().map(u64::from),
            2 => self.u16().map(u64::from),
            4 => self.u32().map(u64::from),
            _ => self.u64(),
        }
    }

    /// The value as text, up to the first NUL.
    #[must_use]
    pub fn text(&self) -> Option<&'a str> {
        let end = self.value.iter().position(|b| *b == 0).unwrap_or(self.value.len());
        std::str::from_utf8(&self.value[..end]).ok()
    }

    /// The attributes within.
    #[must_use]
    pub const fn nested(&self) -> Attributes<'a> {
        Attributes::new(self.value)
    }
}

/// A run of attributes. Iteration ends where the bytes stop making sense.
#[derive(Clone, Copy, Debug)]
pub struct Attributes<'a> {
    rest: &'a [u8],
}

impl<'a> Attributes<'a> {
    /// Reads attributes from `bytes`, for example a message's payload behind its family header.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The attributes behind a family header of `header` bytes.
    #[must_use]
    pub fn after(payload: &'a [u8], header: usize) -> Self {
        Self::new(payload.get(header..).unwrap_or_default())
    }

    /// The first attribute of a type.
    #[must_use]
    pub fn get(mut self, kind: u16) -> Option<Attribute<'a>> {
        self.find(|attribute| attribute.kind == kind)
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let length = usize::from(u16_at(self.rest, 0)?);
        let kind = u16_at(self.rest, 2)? & NLA_TYPE_MASK;
        let value = self.rest.get(HEADER..length)?;
        self.rest = self.rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Attribute { kind, value })
    }
}

/// Writes a payload: a family header, then attributes.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    bytes: Vec<u8>,
}

impl Builder {
    /// Starts with a family header (`struct ifinfomsg`, `struct genlmsghdr` ...), as raw bytes of a
    /// length divisible by four; empty inside a nest.
    #[must_use]
    pub fn new(header: &[u8]) -> Self {
        Self { bytes: header.to_vec() }
    }

    /// Adds an attribute with a raw value. A value beyond `u16::MAX` bytes, which no attribute can
    /// hold, is cut.
    #[must_use]
    pub fn raw(self, kind: u16, value: &[u8]) -> Self {
        self.put(kind, value)
    }

    /// Adds a number of one byte.
    #[must_use]
    pub fn u8(self, kind: u16, value: u8) -> Self {
        self.put(kind, &[value])
    }

    /// Adds a number of four bytes.
    #[must_use]
    pub fn u32(self, kind: u16, value: u32) -> Self {
        self.put(kind, &value.to_ne_bytes())
    }

    /// Adds a signed number of four bytes; descriptors are sent so.
    #[must_use]
    pub fn i32(self, kind: u16, value: i32) -> Self {
        self.put(kind, &value.to_ne_bytes())
    }

    /// Adds text with the NUL the kernel expects.
    #[must_use]
    pub fn text(self, kind: u16, value: &str) -> Self {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.put(kind, &bytes)
    }

    /// Adds a flag: an attribute without a value.
    #[must_use]
    pub fn flag(self, kind: u16) -> Self {
        self.put(kind, &[])
    }

    /// Adds attributes within an attribute.
    #[must_use]
    pub fn nest(self, kind: u16, inner: Self) -> Self {
        self.put(kind | NLA_F_NESTED, &inner.bytes)
    }

    /// Adds attributes that are encoded already, with their headers and padding.
    #[must_use]
    pub fn encoded(mut self, attributes: &[u8]) -> Self {
        self.bytes.extend(attributes);
        self
    }

    /// The finished payload.
    #[must_use]
    pub fn build(self) -> Vec<u8> {
        self.bytes
    }

    fn put(mut self, kind: u16, value: &[u8]) -> Self {
        let room = usize::from(u16::MAX) - HEADER;
        let value = &value[..value.len().min(room)];
        let length = u16::try_from(HEADER + value.len()).unwrap_or(u16::MAX);
        self.bytes.extend(length.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }
}

/// Two bytes at an offset, as a number.
pub(crate) fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    bytes.get(offset..)?.first_chunk().map(|b| u16::from_ne_bytes(*b))
}

/// Four bytes at an offset, as a number.
pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes.get(offset..)?.first_chunk().map(|b| u32::from_ne_bytes(*b))
}
