//! The tree's private directory, for sockets that are files.
//!
//! Whoever opens a transport that needs it makes it, and everyone who sees the tree end removes it.
//! Each process that uses it holds a lock on it, so that nobody takes it for one that was left
//! behind: neither [`super::remove_abandoned`] nor a cleaner of temporary files, such as
//! systemd-tmpfiles, which heed the same kind of lock.

use std::env;
use std::fs::{self, DirBuilder, File, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::failure::Failure;

/// How the name of a tree's directory begins; this many hexadecimal digits follow.
const PREFIX: &str = "hoptree-";
const DIGITS: usize = 16;

/// Where temporary files are when nothing else is said.
const DEFAULT_PLACE: &str = "/tmp";

/// The longest path of the directory for temporary files: every node is told it in its boot message.
pub(super) const PLACE_BYTES_MAX: usize = 1024;

/// How often the removal of a directory is begun anew when others get in its way, each of whom
/// removes something.
const REMOVALS_MAX: usize = 1_000;

/// How often a directory is looked at that a cleaner has under way, and how long it is left alone in
/// between. A cleaner looks for a moment only, or else removes it.
const LOOKS_MAX: usize = 2_000;
const LOOK_PERIOD: Duration = Duration::from_millis(1);

/// Held by a process as long as it uses a tree's directory.
#[derive(Debug)]
pub struct DirectoryLock {
    _directory: File,
}

/// A path for the directory of a new tree, which is not made yet.
///
/// # Errors
///
/// When the system has no random numbers.
pub fn unused_directory() -> Result<PathBuf, Failure> {
    let number = getrandom::u64().map_err(Failure::doing("make a random name"))?;
    // Whoever needs a directory has asked for this place before, and who does not must not fail for
    // want of one.
    let place = temporary_directory().unwrap_or_else(|_| DEFAULT_PLACE.into());
    Ok(place.join(name(number)))
}

/// The directory for temporary files, which those of trees are in. Its path is absolute, since
/// others are told it.
///
/// # Errors
///
/// Says to the user what is wrong with TMPDIR.
pub fn temporary_directory() -> Result<PathBuf, Failure> {
    let named = Some(env::temp_dir()).filter(|named| !named.as_os_str().is_empty());
    let named = named.unwrap_or_else(|| DEFAULT_PLACE.into());
    let wrong = |what: &str| {
        let named = named.display();
        Failure::Runtime(format!(
            "can't put sockets into the directory for temporary files, '{named}': {what}; set TMPDIR \
             to another one"
        ))
    };
    let place = std::path::absolute(&named).map_err(|error| wrong(&error.to_string()))?;
    match place.to_str() {
        None => Err(wrong("its path is not UTF-8")),
        Some(path) if path.len() > PLACE_BYTES_MAX => {
            Err(wrong(&format!("its path has more than {PLACE_BYTES_MAX} bytes")))
        }
        Some(_) => Ok(place),
    }
}

/// Makes the directory of a tree, for this user alone, unless another process of the tree has.
///
/// # Errors
///
/// When it can't be made, or what is there is not a directory of this user that nobody else may
/// enter.
pub fn make_directory(directory: &Path) -> Result<DirectoryLock, Failure> {
    for _ in 0..LOOKS_MAX {
        if let Some(lock) = try_to_make(directory)? {
            return Ok(lock);
        }
        thread::sleep(LOOK_PERIOD);
    }
    let directory = directory.display();
    Err(Failure::Runtime(format!("another process, which cleans up, does not let {directory} go")))
}

/// None when somebody who cleans up has it under way, or has removed it.
fn try_to_make(directory: &Path) -> Result<Option<DirectoryLock>, Failure> {
    let cannot = |error: io::Error| {
        let directory = directory.display();
        Failure::Runtime(format!(
            "can't make the directory {directory} for sockets: {error}; set TMPDIR to a directory in \
             which you may make files"
        ))
    };
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(cannot(error)),
        _ => {}
    }
    let opened = match open(directory) {
        Ok(opened) => opened,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) if is_foreign(&error) => return Err(not_private(directory)),
        Err(error) => return Err(cannot(error)),
    };
    if !is_private(&opened.metadata().map_err(cannot)?) {
        return Err(not_private(directory));
    }
    match flock(&opened, FlockOperation::NonBlockingLockShared) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Ok(None),
        // Where directories can't be locked nobody cleans up.
        Err(error) => log::debug!("can't lock {}: {error}", directory.display()),
    }
    Ok(is_at(&opened, directory).then_some(DirectoryLock { _directory: opened }))
}

/// The name of a tree's directory, with this number.
pub(super) fn name(number: u64) -> String {
    format!("{PREFIX}{number:0DIGITS$x}")
}

/// Whether it can be the name of a tree's directory.
pub(super) fn is_name(name: &str) -> bool {
    name.strip_prefix(PREFIX).is_some_and(|number| {
        let is_digit = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        number.len() == DIGITS && number.bytes().all(is_digit)
    })
}

fn not_private(directory: &Path) -> Failure {
    let directory = directory.display();
    Failure::Runtime(format!("{directory} is not a directory that only this user may enter"))
}

/// Whether this error means that somebody else has put something there.
fn is_foreign(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::NOTDIR | Errno::LOOP | Errno::ACCESS | Errno::PERM)
    )
}

/// Opens a directory. A link is not followed: whoever made it could make it lead elsewhere.
pub(super) fn open(directory: &Path) -> io::Result<File> {
    let flags = libc::O_DIRECTORY | libc::O_NOFOLLOW;
    File::options().read(true).custom_flags(flags).open(directory)
}

/// Whether a directory is this user's and nobody else may enter it.
pub(super) fn is_private(directory: &Metadata) -> bool {
    directory.uid() == rustix::process::geteuid().as_raw() && directory.mode() & 0o077 == 0
}

/// Whether what was opened is still at this path.
pub(super) fn is_at(opened: &File, path: &Path) -> bool {
    let identity = |found: Metadata| (found.dev(), found.ino());
    let there = fs::symlink_metadata(path).map(identity);
    opened.metadata().is_ok_and(|opened| there.is_ok_and(|there| there == identity(opened)))
}

/// Removes the directory of a tree that has ended, if it was ever made. Others may do the same at
/// this moment.
pub fn remove_directory(directory: &Path) {
    for _ in 0..REMOVALS_MAX {
        match fs::remove_dir_all(directory) {
            Ok(()) => return,
            // Somebody else has removed it, or it could not even be made.
            Err(error) if is_absence(error.kind()) && !directory.exists() => return,
            Err(error) if is_passing(error.kind()) => {}
            Err(error) => {
                return log::warn!("can't remove {}: {error}", directory.display());
            }
        }
    }
}

fn is_absence(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// Whether others get in the way, who remove it or a file in it.
fn is_passing(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::NotFound | ErrorKind::DirectoryNotEmpty)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown, symlink};
    use std::path::PathBuf;

    use super::*;

    fn unused(test: &str) -> PathBuf {
        env::temp_dir().join(format!("hoptree-{test}-{}", std::process::id()))
    }

    #[test]
    fn it_is_made_once_and_for_this_user_alone() {
        let directory = unused("making");
        for _ in 0..2 {
            make_directory(&directory).unwrap();
            assert_eq!(fs::metadata(&directory).unwrap().mode() & 0o7777, 0o700);
        }
        remove_directory(&directory);
    }

    #[test]
    fn what_others_may_enter_or_have_made_is_not_used() {
        let directory = unused("foreign");
        let refused = || matches!(make_directory(&directory), Err(Failure::Runtime(_)));
        for mode in [0o755, 0o710, 0o701] {
            fs::create_dir(&directory).unwrap();
            fs::set_permissions(&directory, PermissionsExt::from_mode(mode)).unwrap();
            assert!(refused(), "{mode:o}");
            remove_directory(&directory);
        }
        // Only root can give something away.
        make_directory(&directory).unwrap();
        if chown(&directory, Some(65_534), None).is_ok() {
            assert!(refused(), "it belongs to somebody else");
        }
        remove_directory(&directory);
    }

    #[test]
    fn neither_a_file_nor_a_link_is_a_directory() {
        let (path, private) = (unused("no-directory"), unused("linked"));
        make_directory(&private).unwrap();
        symlink(&private, &path).unwrap();
        assert!(make_directory(&path).is_err());
        fs::remove_file(&path).unwrap();
        fs::write(&path, "").unwrap();
        assert!(make_directory(&path).is_err());
        fs::remove_file(&path).unwrap();
        remove_directory(&private);
        let nowhere = make_directory(&path.join("below"));
        assert!(nowhere.unwrap_err().into_text().contains("can't make the directory"));
    }

    #[test]
    fn one_that_is_cleaned_away_is_made_anew() {
        let directory = unused("cleaned");
        drop(make_directory(&directory).unwrap());
        let cleaner = open(&directory).unwrap();
        flock(&cleaner, FlockOperation::NonBlockingLockExclusive).unwrap();
        assert!(try_to_make(&directory).unwrap().is_none());
        thread::scope(|scope| {
            let made = scope.spawn(|| make_directory(&directory));
            fs::remove_dir(&directory).unwrap();
            let _lock = made.join().unwrap().unwrap();
            assert!(directory.exists() && !is_at(&cleaner, &directory));
        });
        remove_directory(&directory);
    }

    #[test]
    fn a_name_is_that_of_a_tree_or_not() {
        assert!(
            is_name(&name(0)) && is_name(&name(u64::MAX)) && is_name("hoptree-0123456789abcdef")
        );
        for other in
            ["hoptree-0123456789abcde", "hoptree-0123456789abcdef0", "hoptree-0123456789ABCDEF"]
        {
            assert!(!is_name(other), "{other}");
        }
    }

    #[test]
    fn many_may_remove_it_at_once() {
        let directory = unused("removal");
        for _ in 0..20 {
            fs::create_dir(&directory).unwrap();
            (0..50).for_each(|file| fs::write(directory.join(file.to_string()), "").unwrap());
            thread::scope(|scope| {
                (0..4).for_each(|_| drop(scope.spawn(|| remove_directory(&directory))));
            });
            assert!(!directory.exists());
        }
        remove_directory(&directory);
    }
}
