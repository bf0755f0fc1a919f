//! Nodes whose parent's process is gone: they become children of the control node, which is their
//! subreaper.
//!
//! Nothing here waits for a file system, which may be what a process that does not end waits for.

use std::fmt;
use std::fs;
use std::os::fd::RawFd;
use std::str::FromStr;

use rustix::process::{Pid, Signal, getpid};

use super::NODE_WORD;
use super::boot::TETHER;

/// A child of this process that is a node, or was one, and has yet to be reaped, whoever started it.
#[derive(Debug)]
pub struct Stray {
    pid: Pid,
    /// What its command line says, as long as there is one.
    node: Option<String>,
    hold: Hold,
}

/// What keeps a process that was killed.
#[derive(Debug, PartialEq, Eq)]
enum Hold {
    /// Another one traces it, as debuggers do.
    Tracer(Program),
    /// It has ended, but who traces it has yet to be told.
    Witness(Program),
    /// It is inside this function of the system, and can't be disturbed.
    System(String),
    /// Nothing that can be seen; this is its state.
    Unknown(char),
}

/// Another process and its name.
#[derive(Debug, PartialEq, Eq)]
struct Program {
    pid: i32,
    name: String,
}

impl Stray {
    /// Its process.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Whether it holds a connection to another machine: it ends when what hangs by that has.
    pub fn is_tether(&self) -> bool {
        self.node.as_deref().is_some_and(|node| node.starts_with(TETHER))
    }

    /// The node that it is, if that can be seen.
    pub fn node(&self) -> Option<&str> {
        self.node.as_deref()
    }
}

/// Why it is still there although it was killed, and what the user can do.
impl fmt::Display for Stray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.hold {
            Hold::Tracer(tracer) => write!(f, "{tracer} traces it: end that one"),
            Hold::Witness(tracer) => {
                write!(
                    f,
                    "it has ended, but {tracer}, which traces it, has not looked: end that one"
                )
            }
            Hold::System(place) => write!(
                f,
                "it waits inside the system, in {place}: thaw its control group if that is frozen, or \
                 see to the disk or network that it waits for"
            ),
            Hold::Unknown(state) => write!(f, "it is in state {state}: see /proc/{}", self.pid),
        }
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} ({})", self.pid, self.name)
    }
}

/// The children of this process that are hoptree nodes and are not over, and those that are just
/// ending, whatever they were. Living children that this process already had when it became hoptree
/// are none.
pub fn strays() -> Vec<Stray> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    processes
        .flatten()
        .filter_map(|entry| stray(entry.file_name().to_str()?.parse().ok()?))
        .collect()
}

/// Whether there are any.
pub fn has_strays() -> bool {
    !strays().is_empty()
}

fn stray(number: i32) -> Option<Stray> {
    let stat = Stat::of(number)?;
    if stat.parent != Some(getpid()) {
        return None;
    }
    let pid = Pid::from_raw(number)?;
    if !stat.has_memory || is_killed(number) {
        return ending(pid, &stat);
    }
    let node = Some(node(number)?);
    let hold = match tracer(number) {
        Some(tracer) => Hold::Tracer(tracer),
        None if stat.state == 'D' => Hold::System(place(number)),
        None => Hold::Unknown(stat.state),
    };
    Some(Stray { pid, node, hold })
}

/// A process on its way out: it was killed, as a program is whose node was, or its command line went with
/// its memory, while its files may still be open and its threads may still run. Whoever it is, its end is
/// told here soon, unless another one traces it.
fn ending(pid: Pid, stat: &Stat) -> Option<Stray> {
    let hold = match tracer(pid.as_raw_pid()) {
        Some(tracer) if stat.name == "hoptree" => Hold::Witness(tracer),
        Some(_) => return None,
        None if stat.state == 'D' => Hold::System(place(pid.as_raw_pid())),
        None => Hold::Unknown(stat.state),
    };
    Some(Stray { pid, node: None, hold })
}

/// Whether a process was sent SIGKILL, which it has yet to die of.
fn is_killed(pid: i32) -> bool {
    ["SigPnd", "ShdPnd"]
        .into_iter()
        .any(|set| status::<String>(pid, set).is_some_and(|set| has_signal(&set, Signal::KILL)))
}

/// Whether a set of signals, as `status` has it, has this one.
fn has_signal(set: &str, signal: Signal) -> bool {
    u64::from_str_radix(set, 16).is_ok_and(|set| set >> (signal.as_raw() - 1) & 1 == 1)
}

/// Whether a process is this node of this very tree: it runs this program, is called so, and holds on to
/// the same lifeline, which it has inherited.
pub fn is_node(pid: Pid, called: &str, lifeline: RawFd) -> bool {
    let held = |by: &str| fs::read_link(format!("/proc/{by}/fd/{lifeline}")).ok();
    let pid = pid.as_raw_pid();
    let is_of_tree = held("self").is_some_and(|own| held(&pid.to_string()) == Some(own));
    is_of_tree && node(pid).as_deref() == Some(called)
}

/// What a process is called as a node, if it is one.
fn node(pid: i32) -> Option<String> {
    let program = |of: &str| fs::read_link(format!("/proc/{of}/exe")).ok();
    let arguments = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let mut words = arguments.split(|byte| *byte == 0).skip(1);
    let is_node = words.next() == Some(NODE_WORD.as_bytes())
        && program("self").is_some_and(|own| program(&pid.to_string()) == Some(own));
    is_node.then(|| String::from_utf8_lossy(words.next().unwrap_or_default()).into_owned())
}

/// Who traces a process.
fn tracer(pid: i32) -> Option<Program> {
    let thread = status::<i32>(pid, "TracerPid").filter(|thread| *thread != 0)?;
    let pid = status(thread, "Tgid").unwrap_or(thread);
    let name = status(thread, "Name").unwrap_or_else(|| "unknown".to_owned());
    Some(Program { pid, name })
}

/// The function of the system that a process waits in.
fn place(pid: i32) -> String {
    let place = fs::read_to_string(format!("/proc/{pid}/wchan")).unwrap_or_default();
    // It says 0 to those who must not know.
    Some(place).filter(|place| place.len() > 1).unwrap_or_else(|| "an unknown place".to_owned())
}

/// A line of the file `status` of a process.
fn status<T: FromStr>(pid: i32, name: &str) -> Option<T> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().parse().ok()
}

/// The beginning of the file `stat` of a process.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    name: String,
    state: char,
    parent: Option<Pid>,
    /// It loses that early on its way out.
    has_memory: bool,
}

impl Stat {
    fn of(pid: i32) -> Option<Stat> {
        Stat::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// `PID (NAME) STATE PARENT ...`, where the name may hold anything. The size of the memory is the
    /// 23rd field: `proc_pid_stat(5)`.
    fn parse(text: &str) -> Option<Stat> {
        let (before, after) = text.rsplit_once(')')?;
        let (_, name) = before.split_once('(')?;
        let mut fields = after.split_ascii_whitespace();
        let state = fields.next()?.chars().next()?;
        let parent = Pid::from_raw(fields.next()?.parse().ok()?);
        let has_memory = fields.nth(18)? != "0";
        Some(Stat { name: name.to_owned(), state, parent, has_memory })
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::c_void;
    use std::process::Command;
    use std::thread;
    use std::time::{Duration, Instant};

    use rustix::process::{WaitOptions, kill_process};

    use super::*;

    #[test]
    fn a_stat_is_read_behind_any_name() {
        let parent = Pid::from_raw(42);
        let stat = |has_memory| Stat { name: "a) (b".to_owned(), state: 'R', parent, has_memory };
        let text = "7 (a) (b) R 42 1 1 0 -1 4 1 0 0 0 0 0 0 0 20 0 1 0 99 ";
        assert_eq!(Stat::parse(&format!("{text}8192 1")), Some(stat(true)));
        assert_eq!(Stat::parse(&format!("{text}0 0")), Some(stat(false)));
        assert_eq!(Stat::parse("7 (x"), None);
        let own = Stat::of(getpid().as_raw_pid()).unwrap();
        assert!(own.has_memory);
        assert_eq!(own.parent, rustix::process::getppid(), "as read from /proc");
    }

    #[test]
    fn a_child_that_is_no_node_is_no_stray() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let pid = Pid::from_child(&child);
        let found = strays().iter().any(|stray| stray.pid() == pid);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!found);
    }

    /// Its first thread is a zombie then, and the others may hold files.
    #[test]
    fn a_child_whose_threads_have_not_all_ended_is_a_stray() {
        extern "C" fn stay(_: *mut c_void) -> i32 {
            loop {
                // SAFETY: it takes nothing.
                unsafe { libc::pause() };
            }
        }
        let flags = libc::CLONE_VM | libc::CLONE_SIGHAND | libc::CLONE_THREAD;
        let mut stack = vec![0_u128; 4096];
        let top = stack.as_mut_ptr_range().end.cast();
        // SAFETY: the child only makes system calls, and the stack of its other thread is the child's
        // own copy, which nobody else uses.
        let child = unsafe {
            let child = libc::fork();
            if child == 0 {
                libc::clone(stay, top, flags, std::ptr::null_mut());
                libc::syscall(libc::SYS_exit, 0);
            }
            child
        };
        let pid = Pid::from_raw(child).unwrap();
        let until = Instant::now() + Duration::from_secs(10);
        while Stat::of(child).unwrap().state != 'Z' && Instant::now() < until {
            thread::yield_now();
        }
        let is_stray = strays().iter().any(|stray| stray.pid() == pid);
        kill_process(pid, Signal::KILL).unwrap();
        rustix::process::waitpid(Some(pid), WaitOptions::empty()).unwrap();
        assert!(is_stray);
    }

    #[test]
    fn who_was_killed_is_told_from_who_was_not() {
        assert!(has_signal("0000000000000100", Signal::KILL));
        assert!(!has_signal("fffffffffffffeff", Signal::KILL) && !has_signal("", Signal::KILL));
        assert!(!is_killed(getpid().as_raw_pid()));
    }

    #[test]
    fn a_process_of_the_user_s_is_no_node_of_the_tree() {
        let mut child = Command::new("/proc/self/exe").args(["--list", "7"]).spawn().unwrap();
        let pid = Pid::from_child(&child);
        assert!(!is_node(pid, "7", 0) && !is_node(getpid(), "7", 0));
        child.wait().unwrap();
    }

    #[test]
    fn nobody_traces_a_process_by_itself() {
        assert_eq!(tracer(getpid().as_raw_pid()), None);
    }

    #[test]
    fn what_holds_a_process_is_said_with_what_to_do() {
        let text = |hold| Stray { pid: getpid(), node: None, hold }.to_string();
        let debugger = || Program { pid: 9, name: "gdb".to_owned() };
        assert_eq!(text(Hold::Tracer(debugger())), "process 9 (gdb) traces it: end that one");
        assert!(text(Hold::Witness(debugger())).starts_with("it has ended, but process 9 (gdb), "));
        assert!(
            text(Hold::System("rpc_wait".to_owned())).contains("in rpc_wait: thaw its control")
        );
        assert!(text(Hold::Unknown('S')).starts_with("it is in state S: "));
    }
}
