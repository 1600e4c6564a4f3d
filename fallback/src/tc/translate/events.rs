//! What the runtime counts off the plain path.

/// Name of the map that counts.
pub const MAP_NAME: &str = "hoist_events";

/// Something that the runtime counts: the key in the map
/// [`Translated::events`](super::Translated::events).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum Event {
    /// A frame merged from several came in. Where such frames run, those of more than 1514 bytes
    /// are counted.
    Merged = 0,
    /// A frame could not be made linear, and was dropped.
    PullFailed = 1,
    /// A VLAN tag could not be put back into the frame, which was dropped.
    VlanPushFailed = 2,
    /// The socket buffer could not be brought in line with the frame, which was dropped.
    RefreshFailed = 3,
    /// The program returned `XDP_ABORTED`.
    Aborted = 4,
    /// The program returned a code that is no verdict.
    InvalidCode = 5,
    /// A redirected frame was longer than its target's MTU allows, or the target is gone.
    MtuDrop = 6,
    /// The program returned `XDP_REDIRECT` without a target.
    RedirectMiss = 7,
}

/// The names of all events, in the order of their keys.
pub const NAMES: [&str; 8] = {
    let mut names = [""; 8];
    let mut at = 0;
    while at < names.len() {
        names[at] = Event::ALL[at].name();
        at += 1;
    }
    names
};

impl Event {
    /// All events, in the order of their keys.
    pub const ALL: [Self; 8] = [
        Self::Merged,
        Self::PullFailed,
        Self::VlanPushFailed,
        Self::RefreshFailed,
        Self::Aborted,
        Self::InvalidCode,
        Self::MtuDrop,
        Self::RedirectMiss,
    ];

    /// The event in snake_case, for reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Merged => "merged_seen",
            Self::PullFailed => "pull_failed",
            Self::VlanPushFailed => "vlan_push_failed",
            Self::RefreshFailed => "refresh_failed",
            Self::Aborted => "aborted",
            Self::InvalidCode => "invalid_code",
            Self::MtuDrop => "mtu_drop",
            Self::RedirectMiss => "redirect_miss",
        }
    }
}
