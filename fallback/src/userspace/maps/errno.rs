//! Errno values as the kernel's map code returns them.

use std::fmt;

/// A positive errno value. Programs see it negated, as a helper's return value.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Errno(pub i32);

impl Errno {
    /// Not permitted: user space may not touch a frozen map, or one that is not its own.
    pub const EPERM: Self = Self(1);
    /// No such entry.
    pub const ENOENT: Self = Self(2);
    /// More than the map, or the kernel, takes.
    pub const E2BIG: Self = Self(7);
    /// No such descriptor; here: no such map or program.
    pub const EBADF: Self = Self(9);
    /// Full for now.
    pub const EAGAIN: Self = Self(11);
    /// No memory.
    pub const ENOMEM: Self = Self(12);
    /// Held by someone.
    pub const EBUSY: Self = Self(16);
    /// There already.
    pub const EEXIST: Self = Self(17);
    /// No such device, or CPU.
    pub const ENODEV: Self = Self(19);
    /// A wrong argument.
    pub const EINVAL: Self = Self(22);
    /// No room.
    pub const ENOSPC: Self = Self(28);
    /// A value out of its range.
    pub const EOVERFLOW: Self = Self(75);
    /// Not for this kind of map.
    pub const EOPNOTSUPP: Self = Self(95);
    /// Not for this kind of map; the kernel's own number, which user space has no name for.
    pub const ENOTSUPP: Self = Self(524);

    /// What a helper returns: the negated number as a register holds it.
    #[must_use]
    pub const fn as_return(self) -> u64 {
        (-(self.0 as i64)) as u64
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hoist_bpf::kernel::errno_text(self.0))
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hoist_bpf::kernel::errno_name(self.0))
    }
}
