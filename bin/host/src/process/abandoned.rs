//! The directories of trees that were killed as a whole, so that nobody was left to remove them.

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use super::directory::{is_at, is_name, is_private, open};

/// How many names are looked at in one go, and how many directories: a start is not to become slow
/// where others leave much behind.
const NAMES_MAX: usize = 10_000;
const DIRECTORIES_MAX: usize = 1_000;

/// Removes what trees that were killed have left in `place`: directories of this user that have such
/// a name and nothing but sockets in them, and that no process uses. Fails silently: it may be
/// somebody else's, or somebody else is at it.
pub fn remove_abandoned(place: &Path) {
    let Ok(entries) = fs::read_dir(place) else { return };
    let names = entries.take(NAMES_MAX).flatten();
    let trees = names.filter(|entry| entry.file_name().to_str().is_some_and(is_name));
    for directory in trees.take(DIRECTORIES_MAX).map(|entry| entry.path()) {
        match remove(&directory) {
            Ok(true) => log::info!("a tree was killed and left {}, removed", directory.display()),
            Ok(false) => {}
            Err(error) => log::debug!("{} stays: {error}", directory.display()),
        }
    }
}

/// Removes a directory, if it may be, and says so.
fn remove(directory: &Path) -> io::Result<bool> {
    let opened = open(directory)?;
    if !is_private(&opened.metadata()?) {
        return Ok(false);
    }
    // Those who use it hold a shared lock. Whoever comes after this waits, and makes another one.
    flock(&opened, FlockOperation::NonBlockingLockExclusive)?;
    if !is_at(&opened, directory) {
        return Ok(false);
    }
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_socket() {
            fs::remove_file(entry.path())?;
        }
    }
    fs::remove_dir(directory)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown, symlink};
    use std::os::unix::net::UnixListener;
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::thread;

    use super::super::directory::{make_directory, name, remove_directory};
    use super::*;

    /// A place of its own for directories of trees.
    struct Place(PathBuf);

    impl Place {
        fn new(test: &str) -> Place {
            let name = format!("hoptree-abandoned-{test}-{}", std::process::id());
            let place = std::env::temp_dir().join(name);
            fs::create_dir(&place).unwrap();
            Place(place)
        }

        fn directory(&self, number: u64) -> PathBuf {
            self.0.join(name(number))
        }

        /// What a tree has left.
        fn abandon(&self, number: u64) -> PathBuf {
            let directory = self.directory(number);
            drop(make_directory(&directory).unwrap());
            drop(UnixListener::bind(directory.join("socket")).unwrap());
            directory
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            remove_directory(&self.0);
        }
    }

    #[test]
    fn what_nobody_uses_is_removed_and_what_somebody_uses_is_not() {
        let place = Place::new("use");
        let [left, used] = [1, 2].map(|number| place.abandon(number));
        let locks = [(); 2].map(|()| make_directory(&used).unwrap());
        remove_abandoned(&place.0);
        assert!(!left.exists() && used.join("socket").exists());
        let [first, second] = locks;
        drop(first);
        remove_abandoned(&place.0);
        assert!(used.join("socket").exists());
        drop(second);
        remove_abandoned(&place.0);
        assert!(!used.exists());
    }

    /// A start is not to become slow where others leave much behind.
    #[test]
    fn a_start_removes_a_bounded_number_of_directories() {
        let place = Place::new("many");
        for number in 0..=DIRECTORIES_MAX as u64 {
            place.abandon(number);
        }
        remove_abandoned(&place.0);
        assert_eq!(fs::read_dir(&place.0).unwrap().count(), 1);
    }

    #[test]
    fn what_may_be_somebody_elses_stays() {
        let place = Place::new("others");
        let full = place.abandon(1);
        fs::write(full.join("file"), "").unwrap();
        let open = place.abandon(2);
        fs::set_permissions(&open, PermissionsExt::from_mode(0o755)).unwrap();
        let names = ["hoptree-0", "hoptree-000000000000000G", "other-0000000000000000"];
        let strangers = names.map(|name| place.0.join(name));
        strangers.iter().for_each(|stranger| drop(make_directory(stranger).unwrap()));
        let target = Place::new("target");
        symlink(&target.0, place.directory(3)).unwrap();
        fs::write(place.directory(4), "").unwrap();
        let foreign = place.abandon(5);
        // Only root can give something away.
        let is_given_away = chown(&foreign, Some(65_534), None).is_ok();

        remove_abandoned(&place.0);
        assert!(full.join("file").exists() && open.exists() && target.0.exists());
        assert!(strangers.iter().all(|stranger| stranger.exists()));
        assert!(place.directory(3).is_symlink() && place.directory(4).is_file());
        assert_eq!(foreign.exists(), is_given_away);
        remove_abandoned(&place.0.join("nowhere"));
    }

    /// Whoever makes a directory has it, however many clean up at that moment.
    #[test]
    fn a_directory_is_not_removed_under_who_makes_it() {
        let place = Place::new("race");
        let made = AtomicU64::new(0);
        let make = || {
            for _ in 0..200 {
                let directory = place.directory(made.fetch_add(1, Ordering::Relaxed));
                let _lock = make_directory(&directory).unwrap();
                assert!(UnixListener::bind(directory.join("socket")).is_ok());
                assert!(directory.join("socket").exists());
            }
        };
        let clean_up = || (0..1_000).for_each(|_| remove_abandoned(&place.0));
        thread::scope(|scope| {
            (0..2).for_each(|_| drop(scope.spawn(make)));
            (0..2).for_each(|_| drop(scope.spawn(clean_up)));
        });
        remove_abandoned(&place.0);
        assert_eq!(fs::read_dir(&place.0).unwrap().count(), 0);
    }
}
