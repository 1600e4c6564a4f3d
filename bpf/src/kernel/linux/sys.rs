//! What every call into libbpf shares: descriptors, names, its messages.
#![expect(unsafe_code, reason = "libbpf is a C library")]

use std::ffi::{CString, c_char, c_int};
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd};
use std::sync::Once;

use libbpf_rs::libbpf_sys;

/// `BPF_OBJ_NAME_LEN` without the NUL.
pub(super) const NAME_BYTES: usize = 15;

/// Keeps libbpf from writing to standard error: what it would print, the caller gets as an error.
pub(super) fn silence() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: no callback is a callback libbpf knows: it then prints nothing.
        unsafe { libbpf_sys::libbpf_set_print(None) };
    });
}

/// Takes a descriptor that libbpf returned, or the positive error number of `-errno`.
pub(super) fn descriptor(returned: c_int) -> Result<OwnedFd, i32> {
    if returned < 0 {
        return Err(returned.wrapping_neg());
    }
    // SAFETY: a non-negative return of the calls used here is a new descriptor nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(returned) })
}

/// Success, or the positive error number of `-errno`.
pub(super) const fn done(returned: c_int) -> Result<(), i32> {
    if returned < 0 { Err(returned.wrapping_neg()) } else { Ok(()) }
}

/// An object name as the kernel takes it: at most 15 bytes of `[A-Za-z0-9_.]`, others become `_`.
pub(super) fn object_name(name: &str) -> CString {
    let bytes: Vec<u8> = name
        .bytes()
        .take(NAME_BYTES)
        .map(|b| if b.is_ascii_alphanumeric() || b == b'_' || b == b'.' { b } else { b'_' })
        .collect();
    c_string(bytes)
}

/// Bytes up to the first NUL, as C wants them.
pub(super) fn c_string(bytes: impl Into<Vec<u8>>) -> CString {
    let mut bytes = bytes.into();
    bytes.truncate(bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len()));
    CString::new(bytes).unwrap_or_default()
}

/// The text in a fixed field, up to its NUL.
pub(super) fn field_text(field: &[c_char]) -> String {
    let bytes: Vec<u8> =
        field.iter().map(|c| c.cast_unsigned()).take_while(|byte| *byte != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A size for a libbpf option field. Nothing that reaches these fields comes near 4 GiB, which the
/// kernel would refuse anyway.
pub(super) fn size32(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// A descriptor for an option field where 0 means none.
pub(super) fn field_fd(fd: Option<BorrowedFd<'_>>) -> u32 {
    use std::os::fd::AsRawFd;
    fd.map_or(0, |fd| fd.as_raw_fd().cast_unsigned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_and_cleaned() {
        let cases = [
            ("xdp_drop", "xdp_drop"),
            (".rodata", ".rodata"),
            ("a name/with-odd", "a_name_with_odd"),
            ("sixteen_bytes_xx", "sixteen_bytes_x"),
            ("größe", "gr____e"),
            ("", ""),
        ];
        for (given, kept) in cases {
            assert_eq!(object_name(given).to_str().unwrap(), kept);
        }
    }
}
