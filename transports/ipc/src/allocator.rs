//! What ipc-channel needs of the allocator.

/// Makes the allocator keep its pages: the library allocates 208 KiB for each receive, twice for
/// each wake. By default that is mapped afresh each time, which triples the time of a round trip.
#[cfg(target_env = "gnu")]
pub(crate) fn keep_pages() {
    const MAPPED_FROM_BYTES: i32 = 4 * 1024 * 1024;
    const TRIMMED_FROM_BYTES: i32 = 64 * 1024 * 1024;
    // SAFETY: mallopt may be called at any time, from any thread; it takes the allocator's own lock
    // and changes thresholds that no memory which was handed out depends on.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_FROM_BYTES);
        libc::mallopt(libc::M_TRIM_THRESHOLD, TRIMMED_FROM_BYTES);
    }
}

/// Other allocators have no such thresholds.
#[cfg(not(target_env = "gnu"))]
pub(crate) fn keep_pages() {}
