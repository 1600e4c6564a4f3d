//! What a run starts from.

/// A frame in its buffer, as `struct xdp_buff` describes it. All positions are bytes from the start
/// of the buffer, which is the hard start; its end is the hard end.
#[derive(Debug)]
pub struct Frame<'a> {
    /// Headroom, frame and tailroom.
    pub buffer: &'a mut [u8],
    /// `data_meta`: where the metadata starts; equals `data` where there is none.
    pub meta: u32,
    /// `data`: where the frame starts.
    pub data: u32,
    /// `data_end`: behind the frame's last byte.
    pub end: u32,
}

impl<'a> Frame<'a> {
    /// Headroom that ports give every frame (`XDP_PACKET_HEADROOM`).
    pub const HEADROOM: u32 = 256;
    /// Bytes of the headroom that the kernel keeps for itself (`struct xdp_frame`): a program can
    /// grow its frame into the rest, 216 bytes.
    pub const RESERVED: u32 = 40;

    /// Bytes of the longest buffer: every address in it has 32 bits.
    pub const LONGEST: usize = 1 << 28;

    /// A frame of `length` bytes behind [`Frame::HEADROOM`].
    #[must_use]
    pub const fn new(buffer: &'a mut [u8], length: u32) -> Self {
        Self { buffer, meta: Self::HEADROOM, data: Self::HEADROOM, end: Self::HEADROOM + length }
    }

    /// The frame's bytes, without metadata.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.buffer.get(self.data as usize..self.end as usize).unwrap_or_default()
    }

    /// Whether the positions lie in order within the buffer, and the buffer is no longer than
    /// [`Frame::LONGEST`]. The machine runs nothing on others.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        let length = self.buffer.len();
        self.meta <= self.data
            && self.data <= self.end
            && self.end as usize <= length
            && length <= Self::LONGEST
    }

    /// The same frame for a shorter time.
    pub const fn reborrow(&mut self) -> Frame<'_> {
        Frame { buffer: &mut *self.buffer, meta: self.meta, data: self.data, end: self.end }
    }
}

/// How a frame came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrival {
    /// `ingress_ifindex` of the context.
    pub ingress_ifindex: u32,
    /// `rx_queue_index` of the context.
    pub rx_queue_index: u32,
    /// `egress_ifindex` of the context: only for programs of devmap entries.
    pub egress_ifindex: u32,
    /// When, in nanoseconds, for clocks that follow the capture; `None`: now.
    pub time_ns: Option<u64>,
    /// What the receive queue's descriptor says, where the port knows it.
    pub metadata: Metadata,
}

/// What the kfuncs `bpf_xdp_metadata_rx_*` return.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// Hardware receive time in nanoseconds.
    pub timestamp: Option<u64>,
    /// Hash and `enum xdp_rss_hash_type`.
    pub hash: Option<(u32, u32)>,
    /// VLAN protocol (network byte order) and tag control information.
    pub vlan: Option<(u16, u16)>,
}
