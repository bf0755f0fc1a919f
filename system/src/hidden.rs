//! Memory that no core dump has.

use std::io;
use std::ptr;

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mlock, mmap_anonymous};

/// Keeps bytes for as long as the process runs, on a page of their own, which is in no core dump and,
/// as far as the limit of locked memory allows, never on a disk. Meant for what is kept once.
///
/// # Errors
///
/// When the system refuses the page.
pub fn hide<const BYTES: usize>(bytes: &[u8; BYTES]) -> io::Result<&'static [u8; BYTES]> {
    let access = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: the system chooses a place where nothing is.
    let page = unsafe { mmap_anonymous(ptr::null_mut(), BYTES, access, MapFlags::PRIVATE) }?;
    // SAFETY: these change nothing of what is in the page, which is ours.
    unsafe {
        madvise(page, BYTES, Advice::LinuxDontDump)?;
        // A process may lock little or nothing; to be in no dump is what was promised.
        let _ = mlock(page, BYTES);
    }
    let place = page.cast::<[u8; BYTES]>();
    // SAFETY: the page is as long, aligned and writable, nobody else knows of it, and it is never
    // given back.
    unsafe {
        place.write(*bytes);
        Ok(&*place)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_hidden_is_left_out_of_dumps() {
        let hidden = hide(&[7_u8; 32]).unwrap();
        assert_eq!(hidden, &[7; 32]);
        let at = format!("{:x}-", hidden.as_ptr().addr());
        let maps = fs::read_to_string("/proc/self/smaps").unwrap();
        let page = maps.lines().skip_while(|line| !line.starts_with(&at));
        let flags = page.into_iter().find(|line| line.starts_with("VmFlags:")).unwrap();
        assert!(flags.split_whitespace().any(|flag| flag == "dd"), "{flags}");
    }
}
