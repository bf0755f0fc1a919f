//! The tree's private directory, for sockets that are files.
//!
//! Whoever opens a transport that needs it makes it, and everyone who sees the tree end removes it.

use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;

use crate::failure::Failure;

/// How often the removal of a directory is begun anew when others get in its way, each of whom
/// removes something.
const REMOVALS_MAX: usize = 1_000;

/// Makes the directory of a tree, for this user alone, unless another process of the tree has.
///
/// # Errors
///
/// When it can't be made, or what is there is not a directory of this user that nobody else may
/// enter.
pub fn make_directory(directory: &Path) -> Result<(), Failure> {
    let cannot = |error| {
        let directory = directory.display();
        Failure::Runtime(format!("can't make the directory {directory} for sockets: {error}"))
    };
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(cannot(error)),
        _ => {}
    }
    // A link is not followed: whoever made it could make it lead elsewhere.
    let found = fs::symlink_metadata(directory).map_err(cannot)?;
    let own = found.uid() == rustix::process::geteuid().as_raw();
    if found.is_dir() && own && found.mode() & 0o077 == 0 {
        return Ok(());
    }
    let directory = directory.display();
    Err(Failure::Runtime(format!("{directory} is not a directory that only this user may enter")))
}

/// Removes the directory of a tree that has ended, if it was ever made. Others may do the same at
/// this moment.
pub fn remove_directory(directory: &Path) {
    for _ in 0..REMOVALS_MAX {
        match fs::remove_dir_all(directory) {
            Ok(()) => return,
            // Somebody else has removed it, or one of the files in it.
            Err(error) if error.kind() == ErrorKind::NotFound && !directory.exists() => return,
            Err(error) if is_passing(error.kind()) => {}
            Err(error) => {
                return log::warn!("can't remove {}: {error}", directory.display());
            }
        }
    }
}

fn is_passing(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::NotFound | ErrorKind::DirectoryNotEmpty)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown, symlink};
    use std::path::PathBuf;

    use super::*;

    fn unused(test: &str) -> PathBuf {
        std::env::temp_dir().join(format!("hoptree-{test}-{}", std::process::id()))
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
    fn many_may_remove_it_at_once() {
        let directory = unused("removal");
        for _ in 0..20 {
            fs::create_dir(&directory).unwrap();
            (0..50).for_each(|file| fs::write(directory.join(file.to_string()), "").unwrap());
            std::thread::scope(|scope| {
                (0..4).for_each(|_| drop(scope.spawn(|| remove_directory(&directory))));
            });
            assert!(!directory.exists());
        }
        remove_directory(&directory);
    }
}
