//! The run of a program, from its start until nothing is left of it.

use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use hoptree_core::{Exit, Failure};
use hoptree_system::explain;
use rustix::process::Signal;
use signal_hook::low_level::signal_name;

use crate::bell::Bell;
use crate::invocation::Invocation;
use crate::output::{Halt, Output, Sink};
use crate::program::Program;

/// How long others may go on to write after the program has ended.
const GRACE: Duration = Duration::from_secs(1);

/// How long a group may take to end when it was asked to.
const MERCY: Duration = Duration::from_secs(2);

/// How long a program may take to end when it was killed. A node that ends waits half a second longer than
/// [`MERCY`].
const DEATH_TIME_MAX: Duration = Duration::from_millis(400);

/// How often to look for what nothing tells.
const PERIOD: Duration = Duration::from_millis(10);

/// A program that runs, or whose group does.
struct Execution {
    program: Program,
    output: Output,
}

/// Runs a program. Its output goes to `sink`; what is returned is how it has ended. When that is known
/// nobody is left of its group. When `bell` rings before, or the sink takes no more, the group is ended.
///
/// # Errors
///
/// When the program could not be started, or has ended with another status than 0.
pub fn run(invocation: &Invocation, bell: &Bell, sink: &mut Sink<'_>) -> Result<String, Failure> {
    let (program, output) = Program::start(invocation)?;
    let mut execution = Execution { program, output };
    match execution.follow(bell, sink) {
        Ok(status) => outcome(status),
        Err(halt) => {
            execution.end();
            Err(match halt {
                Halt::Stopped => Failure::from("it was stopped"),
                Halt::Refused(error) => {
                    Failure::from(format!("the program can't be watched: {}", explain(&error)))
                }
            })
        }
    }
}

/// What a program has come to.
fn outcome(status: ExitStatus) -> Result<String, Failure> {
    let exit = match (status.code(), status.signal()) {
        (Some(0), _) => return Ok("exit 0".to_owned()),
        (Some(code), _) => Exit::Status(code),
        (None, signal) => Exit::Signal(signal.unwrap_or_default()),
    };
    let text = match exit {
        Exit::Status(code) => format!("exit {code}"),
        Exit::Signal(number) => match signal_name(number) {
            Some(name) => format!("killed by {name}"),
            None => format!("killed by signal {number}"),
        },
    };
    Err(Failure { text, exit: Some(exit) })
}

impl Execution {
    /// Passes on what is written until the program has ended, and behind that what it had written by
    /// then. Others who write are heard for [`GRACE`].
    fn follow(&mut self, bell: &Bell, sink: &mut Sink<'_>) -> Result<ExitStatus, Halt> {
        let stop = [bell.as_fd()];
        loop {
            match self.output.relay(&[bell.as_fd(), self.program.as_fd()], None, sink)? {
                None => {}
                Some(0) => return Err(Halt::Stopped),
                Some(_) => break,
            }
        }
        self.output.owe()?;
        let end = Instant::now() + GRACE;
        while self.output.is_open() && (self.output.owes() || Instant::now() < end) {
            if self.output.relay(&stop, Some(end), sink)?.is_some() {
                return Err(Halt::Stopped);
            }
        }
        loop {
            if let Some(status) = self.program.try_wait()? {
                return Ok(status);
            }
            // Another process traces it, and has yet to be told of its end.
            let soon = Instant::now() + PERIOD;
            if self.output.relay(&stop, Some(soon), sink)?.is_some() {
                return Err(Halt::Stopped);
            }
        }
    }

    /// Ends the group: asks all to end, and kills those that are left after [`MERCY`].
    fn end(mut self) {
        let until = Instant::now() + MERCY;
        self.program.signal(Signal::TERM);
        // One that is stopped does not hear the other signal before it goes on.
        self.program.signal(Signal::CONT);
        if !self.has_ended(until) {
            self.program.signal(Signal::KILL);
            if !self.has_ended(Instant::now() + DEATH_TIME_MAX) {
                let group = self.program.group();
                return log::warn!("process {group} was killed and has not ended");
            }
        }
        let reaped = self.program.try_wait();
        while matches!(reaped, Ok(Some(_))) && self.program.has_group() && Instant::now() < until {
            let soon = until.min(Instant::now() + PERIOD);
            if self.output.relay(&[], Some(soon), &mut |_, _| Ok(())).is_err() {
                return;
            }
        }
    }

    /// Waits for the end of the program, at most until then. What is written meanwhile is thrown away,
    /// so that whoever cleans up is not held up by a pipe that is full.
    fn has_ended(&mut self, until: Instant) -> bool {
        let watched = [self.program.as_fd()];
        while Instant::now() < until {
            match self.output.relay(&watched, Some(until), &mut |_, _| Ok(())) {
                Ok(None) => {}
                Ok(Some(_)) => return true,
                Err(_) => return false,
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;
    use std::{env, process, thread};

    use hoptree_core::{Args, Stopped, Stream};
    use rustix::io::{FdFlags, fcntl_setfd};

    use super::*;

    /// What a user would see of a program.
    #[derive(Debug, Default, PartialEq, Eq)]
    struct Seen {
        out: Vec<u8>,
        err: Vec<u8>,
    }

    impl Seen {
        fn take(&mut self, stream: Stream, bytes: &[u8]) {
            match stream {
                Stream::Out => self.out.extend_from_slice(bytes),
                Stream::Err => self.err.extend_from_slice(bytes),
            }
        }

        fn text(self) -> String {
            String::from_utf8(self.out).unwrap()
        }
    }

    fn invocation(text: &str) -> Invocation {
        Invocation::of_program(&Args::parse(text).unwrap()).unwrap()
    }

    fn exec(text: &str) -> (Result<String, String>, Seen) {
        let mut seen = Seen::default();
        let mut sink = |stream, bytes: &[u8]| {
            seen.take(stream, bytes);
            Ok(())
        };
        let outcome = run(&invocation(text), &Bell::new().unwrap(), &mut sink);
        (outcome.map_err(|failure| failure.text), seen)
    }

    /// What a program writes that must end with status 0.
    #[track_caller]
    fn output(text: &str) -> String {
        let (outcome, seen) = exec(text);
        assert_eq!(outcome, Ok("exit 0".to_owned()), "{seen:?}");
        seen.text()
    }

    #[track_caller]
    fn assert_error(text: &str, error: &str) {
        assert_eq!(exec(text).0, Err(error.to_owned()), "{text}");
    }

    /// Runs a program that is stopped when it has written this much, and returns what it wrote.
    fn exec_until(bytes: usize, text: &str) -> String {
        let (bell, mut seen) = (Bell::new().unwrap(), Seen::default());
        let mut sink = |stream, bytes_now: &[u8]| {
            seen.take(stream, bytes_now);
            if seen.out.len() >= bytes {
                bell.ring();
            }
            Ok(())
        };
        assert_eq!(run(&invocation(text), &bell, &mut sink), Err(Failure::from("it was stopped")));
        seen.text()
    }

    /// Whether a process of this number, as a program has written it, has not ended.
    fn runs(pid: &str) -> bool {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with(['Z', 'X']))
    }

    /// Expects that these processes end: they have been killed, and it may take a moment.
    #[track_caller]
    fn assert_gone(pids: &str) {
        let until = Instant::now() + Duration::from_secs(10);
        for pid in pids.split_ascii_whitespace() {
            while runs(pid) {
                assert!(Instant::now() < until, "process {pid} is left");
                thread::sleep(PERIOD);
            }
        }
    }

    /// A directory of its own, removed when it is dropped.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Scratch {
            let path = env::temp_dir().join(format!("hoptree-run-{}-{name}", process::id()));
            fs::create_dir(&path).unwrap();
            Scratch(path)
        }

        fn file(&self, name: &str, content: &str) -> String {
            fs::write(self.0.join(name), content).unwrap();
            self.0.join(name).to_str().unwrap().to_owned()
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn both_streams_are_passed_on_as_they_are() {
        let (outcome, seen) = exec(r"sh -c 'printf a\\377\\000b; printf c >&2; exit 3'");
        assert_eq!(outcome, Err("exit 3".to_owned()));
        assert_eq!(seen, Seen { out: b"a\xff\0b".to_vec(), err: b"c".to_vec() });
        assert_eq!(output("head -c 1000000 /dev/zero").len(), 1_000_000);
    }

    #[test]
    fn how_it_has_ended_is_said() {
        for (text, error, exit) in [
            ("false", "exit 1", Some(Exit::Status(1))),
            ("sh -c 'kill -KILL $$'", "killed by SIGKILL", Some(Exit::Signal(9))),
            ("sh -c 'kill -40 $$'", "killed by signal 40", Some(Exit::Signal(40))),
            ("no-such-program", "'no-such-program' not found", None),
        ] {
            let outcome = run(&invocation(text), &Bell::new().unwrap(), &mut |_, _| Ok(()));
            assert_eq!(outcome, Err(Failure { text: error.to_owned(), exit }), "{text}");
        }
    }

    #[test]
    fn what_can_not_be_started_is_said() {
        let scratch = Scratch::new("start");
        let plain = scratch.file("plain", "");
        let script = scratch.file("script", "#!/no/such/interpreter\n");
        fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
        let here = scratch.0.to_str().unwrap().to_owned();

        assert_error("no-such-program", "'no-such-program' not found");
        assert_error("./no/such", "'./no/such' not found");
        assert_error(&format!("--cwd {here} ./plain"), "'./plain' is not executable");
        assert_error("/", "'/' is not executable");
        let error = "can't be started: the interpreter that it needs is not found";
        assert_error(&format!("--cwd {here} ./script"), &format!("'./script' {error}"));
        assert_error(&format!("--env PATH={here} script"), &format!("'script' {error}"));
        assert_error("--cwd /no/such true", "no such directory '/no/such'");
        let error = format!("directory '{plain}' can't be entered: not a directory");
        assert_error(&format!("--cwd {plain} true"), &error);
        let error = "FILE 'nosuch' can't be read: No such file or directory (os error 2)";
        assert_error("--stdin @nosuch true", error);
        let error = "'true' can't be started: Argument list too long (os error 7)";
        assert_error(&format!("true {}", "x".repeat(1 << 18)), error);
    }

    #[test]
    fn a_script_that_names_no_interpreter_is_run_by_the_shell() {
        let scratch = Scratch::new("script");
        let script = scratch.file("script", "echo $# $2; exit 3");
        fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
        let (outcome, seen) = exec(&format!("{script} a 'b  c'"));
        assert_eq!((outcome, seen.text()), (Err("exit 3".to_owned()), "2 b c\n".to_owned()));
    }

    #[test]
    fn input_is_what_was_asked_for() {
        let scratch = Scratch::new("input");
        scratch.file("file", "content");
        let here = scratch.0.to_str().unwrap();
        assert_eq!(output("cat"), "");
        assert_eq!(output("--stdin ' a  b' cat"), " a  b");
        assert_eq!(output("--stdin @@a cat"), "@a");
        assert_eq!(output(&format!("--cwd {here} --stdin @file cat")), "content");
        let long = "x".repeat(1_000_000);
        assert_eq!(output(&format!("--stdin {long} cat")), long);
        assert_eq!(output(&format!("--stdin {long} true")), "");
    }

    #[test]
    fn a_program_has_what_it_was_given_and_nothing_of_the_node() {
        assert_eq!(
            output("--cwd /proc --env A=1 --env A='2 3' sh -c 'pwd; echo $A'"),
            "/proc\n2 3\n"
        );
        // Left open for children, as the lifeline is.
        let open = File::open("/dev/null").unwrap();
        fcntl_setfd(&open, FdFlags::empty()).unwrap();
        assert_eq!(output("sh -c 'ls /proc/$$/fd'"), "0\n1\n2\n");
        let status = output("cat /proc/self/status");
        for name in ["SigBlk:", "SigIgn:"] {
            let set = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            // Two signals belong to the C library, which lets nobody set them.
            let own = 0b11 << 31;
            assert_eq!(u64::from_str_radix(set.trim(), 16).unwrap() & !own, 0, "{name} {set}");
        }
        let stat = output("cat /proc/self/stat");
        let fields: Vec<_> = stat.split(' ').collect();
        assert_eq!((fields[4], fields[5]), (fields[0], fields[0]), "group and session: {stat}");
    }

    #[test]
    fn one_that_closes_its_streams_goes_on() {
        assert_error("sh -c 'exec >&- 2>&-; sleep 0.1; exit 5'", "exit 5");
    }

    #[test]
    fn who_goes_on_to_write_is_heard_for_a_while_and_then_ended() {
        assert_eq!(output("sh -c '(sleep 0.1; echo late) & echo early'"), "early\nlate\n");
        let start = Instant::now();
        assert_gone(&output("sh -c 'sleep 600 & echo $!'"));
        assert!(start.elapsed() >= GRACE);
        // One that does not write is not waited for.
        assert_gone(&output("sh -c 'sleep 600 >/dev/null 2>&1 & echo $!'"));
    }

    /// It is ready to be read when it begins to wait for what ends it.
    const STUBBORN: &str = "sh -c \"trap '' TERM; \
                            for i in 1 2 3 4 5; do sleep 600 & echo $!; done; echo $$; wait; wait\"";

    #[test]
    fn one_that_does_not_want_to_end_is_killed_with_all_that_it_has_started() {
        let start = Instant::now();
        let pids = exec_until(12, STUBBORN);
        assert!(start.elapsed() >= MERCY);
        assert_gone(&pids);
    }

    #[test]
    fn one_that_has_to_clean_up_may_do_so_and_others_of_its_group_too() {
        let scratch = Scratch::new("mercy");
        let here = scratch.0.to_str().unwrap();
        // The second shell is waited for although the first ends at once.
        let script = "sh -c 'trap \"head -c 200000 /dev/zero; : >done; exit\" TERM; \
                      echo $$; while :; do sleep 0.01; done' & wait";
        let script = scratch.file("script", script);
        let start = Instant::now();
        let pids = exec_until(2, &format!("--cwd {here} sh {script}"));
        assert!(scratch.0.join("done").exists(), "{:?}", start.elapsed());
        assert_gone(&pids);
    }

    #[test]
    fn one_that_is_stopped_may_clean_up_as_well() {
        let scratch = Scratch::new("stopped");
        let here = scratch.0.to_str().unwrap();
        let script = "trap ': >done; exit' TERM; echo $$; kill -STOP $$; while :; do :; done";
        let script = scratch.file("script", script);
        let pids = exec_until(2, &format!("--cwd {here} sh {script}"));
        assert!(scratch.0.join("done").exists());
        assert_gone(&pids);
    }

    #[test]
    fn one_that_writes_without_end_is_ended() {
        assert!(exec_until(10_000_000, "yes").len() >= 10_000_000);
        let invocation = invocation("yes");
        let outcome = run(&invocation, &Bell::new().unwrap(), &mut |_, _| Err(Stopped));
        assert_eq!(outcome, Err(Failure::from("it was stopped")));
    }

    #[test]
    fn whoever_forgets_a_program_ends_its_group() {
        let (program, mut output) = Program::start(&invocation(STUBBORN)).unwrap();
        let mut seen = Seen::default();
        while seen.out.iter().filter(|byte| **byte == b'\n').count() < 6 {
            let mut sink = |stream, bytes: &[u8]| {
                seen.take(stream, bytes);
                Ok(())
            };
            output.relay(&[], None, &mut sink).unwrap();
        }
        drop(program);
        assert_gone(&seen.text());
    }
}
