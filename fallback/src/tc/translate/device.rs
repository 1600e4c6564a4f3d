//! What the runtime must be told of the interface.

/// Name of the map that holds it.
pub const MAP_NAME: &str = "hoist_device";

/// The interface's hardware address, by which a frame that the program readdressed is sorted into
/// "ours" and "another host's", as `eth_type_trans` does after native XDP.
///
/// It is the only entry, key 0, of the map [`Translated::device`](super::Translated::device), an
/// array. Write it before the program is attached and whenever the address changes; until then
/// readdressed unicast frames count as another host's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceAddress(pub [u8; 6]);

impl DeviceAddress {
    /// The map's key.
    #[must_use]
    pub const fn key() -> [u8; 4] {
        [0; 4]
    }

    /// The map's value: the address in the order of the wire, then two zeroes.
    #[must_use]
    pub const fn value(self) -> [u8; 8] {
        let [a, b, c, d, e, f] = self.0;
        [a, b, c, d, e, f, 0, 0]
    }
}
