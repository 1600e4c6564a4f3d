//! A signal that does nothing but end a system call.
#![expect(unsafe_code, reason = "signals to single threads have no safe wrapper")]

use std::ptr;
use std::sync::Once;

/// Ignored unless somebody wants it, and hardly anybody does.
const SIGNAL: libc::c_int = libc::SIGURG;

/// This thread, as the kernel numbers threads.
pub(super) fn this_thread() -> i32 {
    handle();
    // SAFETY: no pointers are passed, and it cannot fail.
    unsafe { libc::gettid() }
}

/// Interrupts a system call of a thread of this process; whether there is such a thread.
pub(crate) fn interrupt(thread: i32) -> bool {
    // SAFETY: no pointers are passed. The signal has a handler since the thread said its number, so
    // whichever thread of this process has that number by now is not harmed by it.
    let sent = unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, SIGNAL) };
    sent == 0
}

/// The kernel forgets a signal that is ignored instead of waking up whoever it is for.
fn handle() {
    extern "C" fn nothing(_: libc::c_int) {}
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: `sigaction` is plain data, of which zeros are a valid value; the handler does
        // nothing, which is safe at any time; both structures outlive the calls.
        unsafe {
            let mut before: libc::sigaction = std::mem::zeroed();
            libc::sigaction(SIGNAL, ptr::null(), &raw mut before);
            if before.sa_sigaction == libc::SIG_DFL || before.sa_sigaction == libc::SIG_IGN {
                let mut ours: libc::sigaction = std::mem::zeroed();
                ours.sa_sigaction = nothing as *const () as usize;
                ours.sa_flags = libc::SA_RESTART;
                libc::sigaction(SIGNAL, &raw const ours, ptr::null_mut());
            }
        }
    });
}
