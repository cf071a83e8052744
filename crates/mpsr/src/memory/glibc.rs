//! What glibc's allocator is told about bursts: the only unsafe code of the tools.
//!
//! It keeps memory that was freed, for two reasons:
//!
//! - A freed block goes back to the system only from the end of the heap, and one small object that lives longer keeps
//!   everything in front of it: 1,000 connections with one message of 60 KiB each left 118 MB behind, of which 8 MB were in
//!   use. `malloc_trim(3)` gives back every page that nothing lies in.
//! - A large block has a mapping of its own, which goes as soon as it is freed; but the first that is freed raises the size
//!   from which that holds, to up to 32 MiB (`mallopt(3)`). Once the size has been set, it stays.
//!
//! No crate declares these two functions as safe. The parameter could be set without them, by `GLIBC_TUNABLES` in the
//! environment and a second `execve`; trimming could not.

/// From this size on, in bytes, a block has a mapping of its own: glibc's initial value.
const OWN_MAPPING: i32 = 128 << 10;

/// Sets the allocator up for bursts; for one heap, if there is little room for them: each thread would have its own, and
/// reserve 64 MiB of address space for it.
#[expect(unsafe_code, reason = "glibc's allocator is set up by a function that no crate declares safe")]
pub(crate) fn prepare(has_little_room: bool) {
    // SAFETY: it takes two numbers and sets a parameter under the allocator's lock. If it fails, it changes nothing.
    unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, OWN_MAPPING) };
    if has_little_room {
        // SAFETY: as above.
        unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
    }
}

/// Gives memory that is not in use back to the system.
#[expect(unsafe_code, reason = "glibc's allocator is told by a function that no crate declares safe")]
pub(crate) fn give_back() {
    // SAFETY: it takes no pointer, locks each arena that it looks at, and moves nothing that is in use (`malloc_trim(3)`).
    unsafe { libc::malloc_trim(0) };
}
