//! What a program or a thread holds on the heap.
//!
//! If you promise a bound in bytes, test it in bytes. A test program that uses this crate gets its allocator: the system's, with
//! a counter of the bytes that are allocated and freed.
//!
//! ```
//! let used = heap_kit::peak_in_thread(|| {
//!     let first = vec![0_u8; 3000];
//!     drop(first);
//!     let second = vec![0_u8; 1000];
//!     drop(second);
//! });
//! assert_eq!(used, 3000);
//! ```
//!
//! | question | function |
//! |---|---|
//! | How much does the whole program hold now? | [`in_process`] |
//! | How much has this thread allocated that it has not freed? | [`in_thread`] |
//! | How high did this thread's count get during a piece of work? | [`peak_in_thread`] |
//!
//! Compare a count before and after the work; a single value means little. The count of the process includes whatever other
//! tests do at the same time. The count of a thread does not, so use it when a single thread does the work. If one thread
//! allocates memory and another frees it, the first one's count is too high and the other's too low.
//!
//! # What this crate is not
//!
//! It is not a profiler: it does not know which code allocated what. It does not see memory that does not come from the
//! allocator, such as stacks and mapped files, nor what the system's allocator keeps for itself.
//!
//! # Features
//!
//! None.

#![expect(unsafe_code, reason = "an allocator that counts; it hands every call on to the system's")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    sync::atomic::{AtomicIsize, Ordering},
};

/// The README's code, compiled as it is printed.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// The bytes that this program has allocated and not freed.
#[must_use]
pub fn in_process() -> isize {
    IN_PROCESS.load(Ordering::Relaxed)
}

/// The bytes that this thread has allocated minus those that it has freed; negative if it has freed what others allocated.
#[must_use]
pub fn in_thread() -> isize {
    IN_THREAD.get()
}

/// The most bytes that this thread held at once in `work`, beyond those that it held before.
///
/// Do not nest calls: the inner call resets the peak of the outer one.
pub fn peak_in_thread(work: impl FnOnce()) -> usize {
    let before = IN_THREAD.get();
    PEAK_IN_THREAD.set(before);
    work();
    (PEAK_IN_THREAD.get() - before).unsigned_abs()
}

static IN_PROCESS: AtomicIsize = AtomicIsize::new(0);

thread_local! {
    static IN_THREAD: Cell<isize> = const { Cell::new(0) };
    static PEAK_IN_THREAD: Cell<isize> = const { Cell::new(0) };
}

fn count(change: isize) {
    IN_PROCESS.fetch_add(change, Ordering::Relaxed);
    // These have no destructor, so they exist from the thread's first allocation to its last.
    let here = IN_THREAD.get() + change;
    IN_THREAD.set(here);
    PEAK_IN_THREAD.set(PEAK_IN_THREAD.get().max(here));
}

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

// SAFETY: every call goes to `System` with the arguments it came with; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: the caller keeps `alloc_zeroed`'s contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    // A block that grows in place, as large blocks do (`mremap(2)`), is counted once.
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size.cast_signed() - layout.size().cast_signed());
        // SAFETY: the caller keeps `realloc`'s contract.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-layout.size().cast_signed());
        // SAFETY: the caller keeps `dealloc`'s contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}
