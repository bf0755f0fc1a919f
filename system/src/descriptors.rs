//! How many files a process may have open.

use std::os::fd::{BorrowedFd, RawFd};
use std::sync::{Mutex, PoisonError};

use rustix::io::{Errno, fcntl_getfd};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

static ORIGINAL: Mutex<Option<Rlimit>> = Mutex::new(None);

/// Raises the limit of this process to the highest that it may set. The limit that users get is for
/// programs that can't count further (`select` with its 1024 bits), which nothing here is.
pub fn raise_limit() {
    let found = getrlimit(Resource::Nofile);
    ORIGINAL.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(found);
    let highest = Rlimit { current: found.maximum, maximum: found.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, highest) {
        log::debug!("the limit of open files stays as it is: {error}");
    }
}

/// The limit before [`raise_limit`]. Whoever starts another program, which may use `select`, sets
/// this one for it. Nodes are this program.
pub fn original_limit() -> Option<Rlimit> {
    *ORIGINAL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The limit that users get was this one, before the process that has started this one raised it.
pub fn inherit_original_limit(current: Option<u64>) {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let original = Some(Rlimit { current, maximum });
    *ORIGINAL.lock().unwrap_or_else(PoisonError::into_inner) = original;
}

/// Makes sure that this many more files can be opened, without opening any: others might need one at
/// that moment.
///
/// # Errors
///
/// Names the limit.
pub fn require_descriptors(count: usize) -> Result<(), String> {
    let Some(limit) = getrlimit(Resource::Nofile).current else { return Ok(()) };
    // The system gives out the lowest number that is free, so the free ones are at the top.
    let numbers = (0..RawFd::try_from(limit).unwrap_or(RawFd::MAX)).rev();
    if numbers.filter(|number| is_free(*number)).take(count).count() == count {
        return Ok(());
    }
    Err(exhausted())
}

/// What to say when the limit was met.
pub(crate) fn exhausted() -> String {
    let limit = getrlimit(Resource::Nofile).current;
    let limit = limit.map_or("not set".to_owned(), |limit| limit.to_string());
    format!("too many open files: the limit of open files is {limit} (ulimit -Hn raises it)")
}

fn is_free(number: RawFd) -> bool {
    // SAFETY: the number is only looked at, to learn whether anything is open there.
    fcntl_getfd(unsafe { BorrowedFd::borrow_raw(number) }) == Err(Errno::BADF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_free_is_counted() {
        let limit = getrlimit(Resource::Nofile).current.unwrap();
        require_descriptors(1).unwrap();
        // Standard input and its like are open.
        let text = require_descriptors(usize::try_from(limit).unwrap()).unwrap_err();
        assert!(text.contains(&format!("the limit of open files is {limit} ")), "{text}");
    }
}
