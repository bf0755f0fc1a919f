//! The processes that this one has started.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::mem;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use hoptree_core::{Address, Birth, Exit, Life, Opening, Start};
use hoptree_system::explain_thread;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, WaitStatus, child_subreaper, kill_process, pidfd_open,
    pidfd_send_signal, wait, waitpid,
};

use super::NODE_WORD;
use super::boot::{Boot, Heritage, Role};
use super::directory::remove_directory;
use super::farewell::Farewells;
use super::strays::{Stray, is_node, strays};
use crate::failure::Failure;
use crate::launchers::Launcher;
use crate::transports;

/// The program that runs, for a process to start once more.
const PROGRAM: &str = "/proc/self/exe";

/// How long a node may take to notice that the tree has ended.
const STRAY_GRACE: Duration = Duration::from_millis(200);

/// How long the end of the program waits for processes at most.
const SWEEP_TIME_MAX: Duration = Duration::from_secs(2);

/// The children of this process. A child stays one of them until [`ChildProcesses::reap`] has told its
/// end, so its process id can't meanwhile mean another process.
#[derive(Debug)]
pub struct ChildProcesses {
    heritage: Heritage,
    /// Is there once a node was started.
    farewells: Option<Farewells>,
    lives: BTreeMap<i32, Life>,
    /// Those that others have started and this process may have to end.
    adopted: BTreeMap<Life, OwnedFd>,
    /// Whether orphans come to be children of this process, for which nobody else waits.
    takes_orphans: bool,
}

/// A process that has ended.
#[derive(Debug)]
pub enum Reaped<'a> {
    /// That of a life, with its last words if it had any.
    Child(Life, Exit, Option<&'a str>),
    /// One that others had started who are gone, by its process id.
    Orphan(u32, Exit),
}

impl ChildProcesses {
    /// No children yet; those to come will be handed `heritage`.
    pub fn new(heritage: Heritage) -> ChildProcesses {
        ChildProcesses {
            heritage,
            farewells: None,
            lives: BTreeMap::new(),
            adopted: BTreeMap::new(),
            takes_orphans: child_subreaper().is_ok_and(|reaper| reaper.is_some()),
        }
    }

    /// What the tree's transport is opened with.
    pub fn opening(&self) -> Opening<'_> {
        self.heritage.opening()
    }

    /// Starts the process of a node, on this machine or another, which connects to `parent`. Does not wait
    /// for it.
    ///
    /// # Errors
    ///
    /// Says to the user what the system refused, and what to do.
    pub fn spawn(&mut self, birth: Birth, parent: &Address, start: &Start) -> Result<(), String> {
        let mut heritage = self.heritage.clone();
        if let Some(transport) = &start.transport {
            transports::can_be_mixed(&heritage.transport, transport)?;
            transports::choose(transport, heritage.insecure).map_err(Failure::into_text)?;
            transport.clone_into(&mut heritage.transport);
        }
        let life = birth.life;
        let role = match &start.host {
            None => Role::Node(birth),
            Some(host) => {
                Launcher::of(host)?;
                Role::StandIn(birth, host.clone())
            }
        };
        self.start(life, &role, parent, heritage)
    }

    /// Starts the process of a life whose parent is on another machine, and that ends unless it has joined
    /// within this time.
    ///
    /// # Errors
    ///
    /// As [`ChildProcesses::spawn`].
    pub fn spawn_remote(
        &mut self,
        birth: Birth,
        parent: &Address,
        join_within: Duration,
    ) -> Result<(), String> {
        let life = birth.life;
        let role = Role::Remote { birth, join_within };
        self.start(life, &role, parent, self.heritage.clone())
    }

    fn start(
        &mut self,
        life: Life,
        role: &Role,
        parent: &Address,
        heritage: Heritage,
    ) -> Result<(), String> {
        let stdout = self.farewells().and_then(Farewells::stdout);
        let stdout = stdout.map_err(|error| explain_start(&error))?;
        let pid = start_process(role, parent, heritage, stdout)?;
        self.lives.insert(pid.as_raw_pid(), life);
        Ok(())
    }

    /// Starts the [helper](crate::Helper) of this name as [`ChildProcesses::spawn`] does a node, and says which
    /// process it is. Its end is not reported.
    ///
    /// # Errors
    ///
    /// As [`ChildProcesses::spawn`].
    pub fn spawn_helper(&self, name: &str, argument: u32, parent: &Address) -> Result<Pid, String> {
        let role = Role::Helper { name: name.to_owned(), argument };
        start_process(&role, parent, self.heritage.clone(), Stdio::null())
    }

    fn farewells(&mut self) -> io::Result<&Farewells> {
        let farewells = self.farewells.take().map_or_else(Farewells::new, Ok)?;
        Ok(self.farewells.insert(farewells))
    }

    /// Becomes responsible for a process that another one has started, and that runs at this moment:
    /// its link stands. The number is what it says of itself, so that it may be that of any process: one
    /// that is not this node of this tree is left alone.
    pub fn adopt(&mut self, life: Life, pid: u32) {
        self.adopted.retain(|_, process| !has_ended(process));
        let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
            return log::warn!("{life} says that it is process {pid}, which can't be");
        };
        match pidfd_open(pid, PidfdFlags::empty()) {
            // The descriptor is that of the process that was looked at, if that has not ended since.
            Ok(process) if self.is_its(life, pid) && !has_ended(&process) => {
                self.adopted.insert(life, process);
            }
            Ok(process) if has_ended(&process) => {
                log::debug!("{life} has ended before it was adopted");
            }
            Ok(_) => log::warn!("{life} says that it is process {pid}, which is something else"),
            Err(Errno::SRCH) => log::debug!("{life} has ended before it was adopted"),
            // It will end with the tree all the same.
            Err(error) => log::warn!("{life} can't be ended from here: {error}"),
        }
    }

    /// Whether a process can be that of a life which this one has not started.
    fn is_its(&self, life: Life, pid: Pid) -> bool {
        !self.lives.contains_key(&pid.as_raw_pid())
            && is_node(pid, &life.node.to_string(), self.heritage.lifeline)
    }

    /// Ends a child at once, if it still runs.
    pub fn kill(&mut self, life: Life) {
        if let Some(process) = self.adopted.remove(&life) {
            if let Err(error) = pidfd_send_signal(process, Signal::KILL) {
                log::debug!("can't kill {life}, which others have started: {error}");
            }
            return;
        }
        for (pid, _) in self.lives.iter().filter(|(_, its)| **its == life) {
            kill(Pid::from_raw(*pid).expect("a child's id is positive"));
        }
    }

    /// Tells each child that has ended since the last call, and orphans that this process has
    /// inherited as well, and says whether it has any left. Does not block.
    ///
    /// Where there are no orphans, other children are those of a command module, which waits for them
    /// itself: they are left alone.
    pub fn reap(&mut self, mut ended: impl FnMut(Reaped<'_>)) -> bool {
        loop {
            let (pid, status) = match self.reap_one() {
                Ok(Some(one)) => one,
                Ok(None) => return true,
                Err(Errno::INTR) => continue,
                Err(_) => return false,
            };
            let pid = pid.as_raw_pid();
            let Some(&life) = self.lives.get(&pid) else {
                ended(Reaped::Orphan(pid.unsigned_abs(), exit(status)));
                continue;
            };
            let farewells = self.farewells.as_mut();
            let words = farewells.and_then(|it| it.take(pid, |pid| self.lives.contains_key(&pid)));
            self.lives.remove(&pid);
            let exit = exit(status);
            log::debug!("{life}, process {pid}, has ended: {exit:?}");
            ended(Reaped::Child(life, exit, words.as_deref()));
        }
    }

    /// Reaps a child that has ended, if there is one and it is for this to reap.
    fn reap_one(&self) -> Result<Option<(Pid, WaitStatus)>, Errno> {
        if self.takes_orphans {
            return wait(WaitOptions::NOHANG);
        }
        let reap = |pid: i32| waitpid(Pid::from_raw(pid), WaitOptions::NOHANG);
        match next_ended()? {
            None => Ok(None),
            Some(pid) if self.lives.contains_key(&pid) => reap(pid),
            // It hides those behind it.
            Some(_) => self.lives.keys().find_map(|pid| reap(*pid).transpose()).transpose(),
        }
    }

    /// Waits until no node is left among the children, for at most `SWEEP_TIME_MAX`: nodes that
    /// have lost their parent have come to be children of the control node, and those that do not
    /// end by themselves are killed. Then the tree's directory is removed. To be called there at the
    /// end, with the lifeline closed.
    pub fn sweep(mut self) {
        self.await_nodes();
        remove_directory(&self.heritage.directory);
    }

    fn await_nodes(&mut self) {
        const PERIOD: Duration = Duration::from_millis(10);
        let start = Instant::now();
        while self.reap(|_| {}) {
            // One search is enough: a child that ends while it lasts, and leaves its own children to
            // this process, is found all the same, since it is still to be reaped.
            let left = strays();
            if left.is_empty() {
                return;
            }
            if start.elapsed() > SWEEP_TIME_MAX {
                left.iter().for_each(|stray| self.tell_left(stray));
                return;
            }
            if start.elapsed() > STRAY_GRACE {
                let to_kill = left.iter().filter(|stray| !stray.is_tether());
                to_kill.for_each(|stray| kill(stray.pid()));
            }
            thread::sleep(PERIOD);
        }
    }

    fn tell_left(&self, stray: &Stray) {
        let pid = stray.pid();
        let started = self.lives.get(&pid.as_raw_pid()).map(|life| life.node.to_string());
        match started.as_deref().or(stray.node()) {
            Some(node) => log::error!("node {node}, process {pid}, is left: {stray}"),
            None => log::error!("process {pid} is left: {stray}"),
        }
    }
}

fn start_process(
    role: &Role,
    parent: &Address,
    heritage: Heritage,
    stdout: Stdio,
) -> Result<Pid, String> {
    let boot = Boot::new(role.clone(), parent.clone(), heritage).encode()?;
    let mut child = start_program(role, Stdio::piped(), stdout)?;
    let stdin = child.stdin.take().expect("stdin is piped");
    tell_boot(&boot, stdin);
    Ok(Pid::from_child(&child))
}

/// Starts the process that holds the connection to another machine, in the role that it is given, and
/// goes on talking to it through this socket.
///
/// # Errors
///
/// As [`ChildProcesses::spawn`].
pub fn start_tether(
    role: &Role,
    parent: &Address,
    heritage: Heritage,
) -> Result<UnixStream, String> {
    let boot = Boot::new(role.clone(), parent.clone(), heritage).encode()?;
    let (own, its) = UnixStream::pair().map_err(|error| explain_start(&error))?;
    start_program(role, OwnedFd::from(its).into(), Stdio::null())?;
    tell_boot(&boot, &own);
    // It reads its boot message to the end.
    own.shutdown(Shutdown::Write).map_err(|error| explain_start(&error))?;
    Ok(own)
}

fn start_program(role: &Role, stdin: Stdio, stdout: Stdio) -> Result<Child, String> {
    let child = Command::new(PROGRAM)
        .arg0("hoptree")
        .args([NODE_WORD, &role.to_string()])
        .stdin(stdin)
        .stdout(stdout)
        .spawn()
        .map_err(|error| explain_start(&error))?;
    log::debug!("process {} is {role:?}", child.id());
    Ok(child)
}

/// Never waits: there is room for a boot message.
fn tell_boot(boot: &[u8], mut to: impl Write) {
    if let Err(error) = to.write_all(boot) {
        // It has ended already, and its end is about to be told.
        log::debug!("a process did not take its boot message: {error}");
    }
}

/// The next child that has ended and was not reaped, which it stays.
fn next_ended() -> Result<Option<i32>, Errno> {
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: all zeros is a valid value of this plain structure, and the call fills in all that is
    // read of it, if anything.
    let (done, pid) = unsafe {
        let mut child: libc::siginfo_t = mem::zeroed();
        (libc::waitid(libc::P_ALL, 0, &raw mut child, options), child.si_pid())
    };
    match done {
        0 => Ok(Some(pid).filter(|pid| *pid != 0)),
        _ => Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::CHILD)),
    }
}

/// Whether a process has ended, which makes its descriptor readable.
fn has_ended(process: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(process, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
}

/// Sends SIGKILL to a process that has not been reaped.
fn kill(pid: Pid) {
    if let Err(error) = kill_process(pid, Signal::KILL) {
        log::warn!("can't kill process {pid}: {error}");
    }
}

fn exit(status: WaitStatus) -> Exit {
    match status.terminating_signal() {
        Some(signal) => Exit::Signal(signal),
        None => Exit::Status(status.exit_status().unwrap_or_default()),
    }
}

/// Why a process could not be started, and what the user can do.
fn explain_start(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::NotFound && !Path::new(PROGRAM).exists() {
        return "can't start a process: /proc, where the program is found, is not mounted"
            .to_owned();
    }
    format!("can't start a process: {}", explain_thread(error))
}

#[cfg(test)]
mod tests {
    use hoptree_core::{Incarnation, KEY_BYTES, NodeId, Secret};

    use super::*;
    use crate::logging::LogConfig;

    fn children() -> ChildProcesses {
        ChildProcesses::new(Heritage {
            transport: "none".to_owned(),
            insecure: false,
            beyond: None,
            secret: Secret::new(&[0; KEY_BYTES]),
            lifeline: 3,
            directory: "/nonexistent/hoptree".into(),
            timeout: Duration::from_secs(5),
            logs: LogConfig::default(),
            descriptors: None,
        })
    }

    /// A process that ends with this status, and has ended.
    fn ended(status: u32) -> Child {
        let child = Command::new("sh").args(["-c", &format!("exit {status}")]).spawn().unwrap();
        let process = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).unwrap();
        poll(&mut [PollFd::new(&process, PollFlags::IN)], None).unwrap();
        child
    }

    /// As a command module may have, which waits for the processes that it starts. It matters which was
    /// started first.
    #[test]
    fn only_nodes_are_reaped_whoever_else_has_ended() {
        let mut children = children();
        let mut others = vec![ended(1)];
        let mut expected = Vec::new();
        for node in 2..5 {
            let life = Life { node: NodeId::compute(node).unwrap(), incarnation: Incarnation(0) };
            let pid = i32::try_from(ended(node).id()).unwrap();
            children.lives.insert(pid, life);
            expected.push((life, Exit::Status(node as i32)));
            others.push(ended(9));
        }
        let mut reaped = Vec::new();
        let has_more = children.reap(|one| match one {
            Reaped::Child(life, exit, None) => reaped.push((life, exit)),
            other => panic!("{other:?}"),
        });
        reaped.sort_by_key(|(life, _)| *life);
        assert_eq!((reaped, has_more), (expected, true));
        let statuses: Vec<_> =
            others.iter_mut().map(|child| child.wait().unwrap().code()).collect();
        assert_eq!(statuses, [Some(1), Some(9), Some(9), Some(9)]);
    }

    #[test]
    fn a_limit_is_named_with_its_figure() {
        let text = |errno: Errno| explain_start(&errno.into());
        assert!(text(Errno::MFILE).contains("the limit of open files is "));
        assert!(text(Errno::AGAIN).contains("too many processes"));
        assert!(text(Errno::ACCESS).starts_with("can't start a process: Permission denied"));
        assert!(text(Errno::NOENT).starts_with("can't start a process: No such file"));
    }
}
