//! Ending a test run from another thread.

use std::sync::atomic::{AtomicI32, Ordering};

/// Ends the `BPF_PROG_TEST_RUN` of another thread, which then fails with `EINTR`: the only way to end
/// one before its last repetition. One at a time can use it.
#[derive(Debug, Default)]
pub struct Interrupt {
    /// The thread that is in the call, as gettid(2) names it; 0 when none is.
    thread: AtomicI32,
}

impl Interrupt {
    /// Ends the call if one is under way; whether one was. The call may have been about to begin, and
    /// then nothing ends it: whoever must know that it is over asks again until it is.
    #[cfg(feature = "kernel")]
    pub fn end(&self) -> bool {
        let thread = self.thread.load(Ordering::Acquire);
        thread != 0 && super::linux::interrupt(thread)
    }

    /// Says which thread is in the call until what is returned is dropped.
    #[cfg_attr(
        not(feature = "kernel"),
        expect(dead_code, reason = "only the kernel makes threads wait")
    )]
    pub(super) fn during(&self, thread: i32) -> impl Drop {
        struct Call<'a>(&'a AtomicI32);
        impl Drop for Call<'_> {
            fn drop(&mut self) {
                self.0.store(0, Ordering::Release);
            }
        }
        self.thread.store(thread, Ordering::Release);
        Call(&self.thread)
    }
}
