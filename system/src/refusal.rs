//! What the system's errors mean to a user.

use std::io;

use rustix::process::{Resource, getrlimit};

use crate::{descriptors, memory, threads};

/// What an error of the system says, with the limit behind it when it is a limit.
#[must_use]
pub fn explain(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EMFILE) => descriptors::exhausted(),
        Some(libc::ENFILE) => {
            "too many open files in the whole system (fs.file-max limits them)".to_owned()
        }
        Some(libc::ENOMEM) => memory::exhausted(0),
        Some(libc::ENOSPC) => {
            "no space is left, on a disk or for what the system watches".to_owned()
        }
        _ => error.to_string(),
    }
}

/// The same for an error that the start of a process or a thread has met.
#[must_use]
pub fn explain_thread(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EAGAIN) => threads::exhausted(),
        _ => explain(error),
    }
}

/// The limits that an error may be about which a library does not let out, for whoever has to guess.
#[must_use]
pub fn limits() -> String {
    let figure = |resource| match getrlimit(resource).current {
        Some(limit) => limit.to_string(),
        None => "unlimited".to_owned(),
    };
    let (processes, files) = (figure(Resource::Nproc), figure(Resource::Nofile));
    let (data, space) = (figure(Resource::Data), figure(Resource::As));
    format!(
        "RLIMIT_NPROC is {processes}, RLIMIT_NOFILE is {files}, RLIMIT_DATA is {data}, RLIMIT_AS is \
         {space}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_named_with_its_figure_and_all_else_as_the_system_says_it() {
        let text = |number| explain(&io::Error::from_raw_os_error(number));
        assert!(text(libc::EMFILE).starts_with("too many open files: the limit of open files is "));
        let of_the_machine = "too many open files in the whole system (fs.file-max limits them)";
        assert_eq!(text(libc::ENFILE), of_the_machine);
        assert!(text(libc::ENOMEM).starts_with("out of memory"));
        assert!(text(libc::EACCES).starts_with("Permission denied"));
        assert!(text(libc::EAGAIN).starts_with("Resource temporarily unavailable"));
        let text = explain_thread(&io::Error::from_raw_os_error(libc::EAGAIN));
        assert!(text.starts_with("too many processes"), "{text}");
    }
}
