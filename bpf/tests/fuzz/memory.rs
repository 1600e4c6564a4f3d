//! Counts what a thread of work takes from the heap.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The system's allocator with a meter.
pub(crate) struct Counting {
    now: AtomicUsize,
    base: AtomicUsize,
    peak: AtomicUsize,
}

impl Counting {
    pub(crate) const fn new() -> Self {
        Self { now: AtomicUsize::new(0), base: AtomicUsize::new(0), peak: AtomicUsize::new(0) }
    }

    /// Starts measuring from what is in use now.
    pub(crate) fn start(&self) {
        let now = self.now.load(Relaxed);
        self.base.store(now, Relaxed);
        self.peak.store(now, Relaxed);
    }

    /// Most bytes in use at once since [`Counting::start`], beyond what was in use then.
    pub(crate) fn peak(&self) -> usize {
        self.peak.load(Relaxed).saturating_sub(self.base.load(Relaxed))
    }

    fn grow(&self, bytes: usize) {
        let now = self.now.fetch_add(bytes, Relaxed) + bytes;
        self.peak.fetch_max(now, Relaxed);
    }
}

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.grow(layout.size());
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        self.now.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        self.grow(size);
        self.now.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}
