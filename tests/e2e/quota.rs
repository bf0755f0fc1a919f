//! A limit on processor time, as containers have it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::deadline::{PATIENCE, pass};
use crate::process::Process;

/// What the limit is counted in: so long a process may have to wait for its next share.
const PERIOD: Duration = Duration::from_millis(100);

/// A control group of its own, without a limit at first. The system removes none that has processes
/// in it: they are to have ended when it is dropped.
pub struct Quota {
    group: PathBuf,
}

impl Quota {
    /// `None` where the user of the tests can't make one.
    pub fn new() -> Option<Quota> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("hoptree-e2e-{}-{}", process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        ["/sys/fs/cgroup", "/sys/fs/cgroup/cpu"].into_iter().find_map(|root| {
            let group = Path::new(root).join(&name);
            fs::create_dir(&group).ok()?;
            let quota = Quota { group };
            quota.set(None).then_some(quota)
        })
    }

    /// Takes in a process with all its threads.
    pub fn admit(&self, process: &Process) {
        fs::write(self.group.join("cgroup.procs"), process.pid().to_string()).unwrap();
    }

    /// Leaves all of them together so much of each [`PERIOD`].
    pub fn limit(&self, share: Duration) {
        assert!(self.set(Some(share)));
    }

    /// Takes the limit away.
    pub fn lift(&self) {
        assert!(self.set(None));
    }

    fn set(&self, share: Option<Duration>) -> bool {
        let period = PERIOD.as_micros();
        let share = share.map(|share| share.as_micros().to_string());
        let (newer, older) = (self.group.join("cpu.max"), self.group.join("cpu.cfs_quota_us"));
        if newer.exists() {
            let share = share.unwrap_or_else(|| "max".to_owned());
            return fs::write(newer, format!("{share} {period}")).is_ok();
        }
        // Only a file that is there is written: a group without this controller has none.
        let write = |path: &Path, text: &str| path.exists() && fs::write(path, text).is_ok();
        write(&self.group.join("cpu.cfs_period_us"), &period.to_string())
            && write(&older, share.as_deref().unwrap_or("-1"))
    }
}

impl Drop for Quota {
    fn drop(&mut self) {
        // No panic: a second one while a test fails would hide the first.
        let until = Instant::now() + PATIENCE;
        while fs::remove_dir(&self.group).is_err() && Instant::now() < until {
            pass(Duration::from_millis(5));
        }
    }
}
