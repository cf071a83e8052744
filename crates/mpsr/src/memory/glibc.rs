//! Settings of glibc's allocator for bursts. This is the only unsafe code of the tools.
//!
//! The allocator keeps freed memory for two reasons:
//!
//! - A freed block goes back to the system only from the end of the heap, and one small object that lives longer keeps
//!   everything in front of it: 1,000 connections with one message of 60 KiB each left 118 MB behind, of which 8 MB
//!   were in use. `malloc_trim(3)` releases every unused page.
//! - A large block has its own mapping, which is unmapped when the block is freed. But the first such free raises the
//!   threshold for separate mappings, up to 32 MiB (`mallopt(3)`). Setting the threshold once keeps it fixed.
//!
//! No crate offers these two functions as safe ones. We could set the parameter without them, with `GLIBC_TUNABLES` in
//! the environment and a second `execve`, but we could not trim.

/// From this size on, in bytes, a block gets its own mapping. This is glibc's initial value.
const OWN_MAPPING: i32 = 128 << 10;

/// Sets the allocator up for bursts. If there is little room for heaps, it allows only one: otherwise each thread has a
/// heap, and reserves 64 MiB of address space for it.
#[expect(unsafe_code, reason = "glibc's allocator is set up by a function that no crate declares safe")]
pub(crate) fn prepare(has_little_room: bool) {
    // SAFETY: it takes two numbers and sets a parameter under the allocator's lock. If it fails, it changes nothing.
    unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, OWN_MAPPING) };
    if has_little_room {
        // SAFETY: as above.
        unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
    }
}

/// Releases unused memory to the system.
#[expect(unsafe_code, reason = "glibc's allocator is told by a function that no crate declares safe")]
pub(crate) fn give_back() {
    // SAFETY: it takes no pointer, locks each arena that it looks at, and moves nothing that is in use (`malloc_trim(3)`).
    unsafe { libc::malloc_trim(0) };
}
