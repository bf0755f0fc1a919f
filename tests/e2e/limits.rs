//! What the system does not let happen is an error that says so, and no more than that.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::time::Duration;

use hoptree_core::{LINE_BYTES_MAX, TransportSpec, VALUE_BYTES_MAX};
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::console::Console;
use crate::deadline::{LONG_PATIENCE, PATIENCE, eventually, pass};
use crate::load;
use crate::process::Process;
use crate::transport::linked;

/// What the limit of open files of a process is: the soft one, and the hard one.
fn file_limits(of: Process) -> (String, String) {
    let limits = fs::read_to_string(format!("/proc/{}/limits", of.pid())).unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let mut figures = line.split_whitespace().map(str::to_owned);
    (figures.next().unwrap(), figures.next().unwrap())
}

#[test]
fn the_limit_of_open_files_is_raised_to_the_highest() {
    let mut console = Console::start_after("ulimit -Sn 60", &[]);
    for process in [console.create(1, -1), console.process()] {
        let (soft, hard) = file_limits(process);
        assert_eq!(soft, hard);
    }
}

#[test]
fn creates_for_which_there_are_no_descriptors_say_so_and_harm_nothing() {
    let creates: String = (1..=60).map(|node| format!("create {node}\n")).collect();
    for TransportSpec { name: transport, .. } in linked() {
        let mut console = Console::start_after("ulimit -n 64", &["--transport", transport]);
        console.send_bytes(creates.as_bytes());
        let replies = console.lines(60);
        let (made, refused): (Vec<_>, Vec<_>) =
            replies.iter().partition(|reply| reply.starts_with("Ok: "));
        assert!(made.len() >= 8, "{transport}: {replies:?}");
        assert!(!refused.is_empty(), "{transport}: {replies:?}");
        let reason = "too many open files: the limit of open files is 64 ";
        assert!(refused.iter().all(|reply| reply.contains(reason)), "{transport}: {refused:?}");
        console.ask("exec 1 echo here", "Ok:1: here");
        let finished = console.finish();
        assert_eq!((finished.status, &*finished.errors), (0, ""), "{transport}");
    }
}

/// It has nothing for most of them, and they come all at once.
#[test]
fn orphans_for_whom_there_are_no_descriptors_harm_nobody() {
    for TransportSpec { name: transport, .. } in linked() {
        let mut console = Console::start(&["--transport", transport]);
        let parent = console.create(1, -1);
        let creates: String = (2..=60).map(|node| format!("create {node} 1\n")).collect();
        console.send_bytes(creates.as_bytes());
        let orphans: Vec<_> = (2..=60).map(|_| console.expect_pid()).collect();
        let limit = console.process().descriptors().len() as u64 + 5;
        let limit = Rlimit { current: Some(limit), maximum: Some(limit) };
        prlimit(Pid::from_raw(console.process().pid()), Resource::Nofile, limit).unwrap();

        parent.kill();
        let looked_after = || orphans.iter().filter(|orphan| orphan.runs()).count() < 10;
        eventually("those that nobody takes in end", PATIENCE, looked_after);
        let before = console.process().processor_time();
        let a_while = Duration::from_millis(500);
        pass(a_while);
        let used = console.process().processor_time().saturating_sub(before);
        assert!(used < a_while / 2, "{transport}: the console is busy with nothing: {used:?}");
        console.ask("exec 1 echo gone", "Error:1: Node is unavailable");
        let errors = console.errors();
        let own = errors.lines().filter(|line| !line.contains("node ")).count();
        assert!(own < 20, "{transport}: {errors}");
        assert_eq!(console.finish().status, 0, "{transport}");
    }
}

#[test]
fn a_node_more_than_there_may_be_is_refused() {
    let mut console = Console::start(&["--max-nodes", "2"]);
    console.create(1, -1);
    console.create(2, 1);
    console.ask("create 3 2", "Error: too many nodes: the limit is 2 (--max-nodes raises it)");
    console.ask("remove 2", "Ok");
    console.create(3, 1);
    assert_eq!(console.finish().status, 0);
}

#[test]
fn a_node_that_can_not_start_says_why_in_the_reply() {
    let mut console = Console::start(&["--transport", "zmq"]);
    console.create(1, -1);
    fs::remove_dir(console.scratch().path()).unwrap();
    // It needs a directory for its socket, and finds no place for one.
    console.send("create 2 1 --transport zmq:ipc");
    let reply = console.line().text;
    let begin = "Error: node 2 could not start: can't make the directory ";
    assert!(reply.starts_with(begin) && reply.contains("No such file or directory"), "{reply}");
    console.ask("ping 2", "Error: Not found");
    console.create(2, 1);
    let finished = console.finish();
    assert_eq!((finished.status, &*finished.errors), (0, ""));
}

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// Commands for a shell after which this user runs the program, with at most `most` processes.
fn become_user(user: u32, most: u32) -> String {
    format!(
        "cp \"$1\" hoptree; chmod 777 . hoptree; shift; set -- \
         setpriv --reuid {user} --clear-groups prlimit --nproc={most} ./hoptree \"$@\""
    )
}

/// The limit is that of a user, and root has none. So it takes root to become somebody who has.
#[test]
fn a_process_or_thread_too_many_is_said_to_be_one() {
    if !is_root() {
        return;
    }
    // The console takes six over zmq, and four over the others; one more may be about to end.
    for (transport, most) in [("zmq", 7), ("zmq", 9), ("zeromq", 5), ("ipc", 5), ("ipc", 6)] {
        let user = 0x4000_0000 + std::process::id() + most;
        let user_and_limit = become_user(user, most);
        let mut console = Console::start_after(&user_and_limit, &["--transport", transport]);
        console.send_bytes(b"create 1\ncreate 2\ncreate 3\n");
        let replies = console.lines(3);
        let refused: Vec<_> = replies.iter().filter(|reply| !reply.starts_with("Ok: ")).collect();
        assert!(!refused.is_empty(), "{transport}, {most}");
        let limit = format!("RLIMIT_NPROC is {most}");
        let named = format!("user {user} may have {most}, ");
        for reply in refused {
            assert!(reply.contains(&limit) || reply.contains(&named), "{transport}: {reply}");
        }
        assert_eq!(console.finish().status, 0, "{transport}, {most}");
    }
}

#[test]
fn work_for_which_there_is_no_thread_is_an_error() {
    if !is_root() {
        return;
    }
    let user = 0x5000_0000 + std::process::id();
    let mut console = Console::start_after(&become_user(user, 100), &[]);
    let node = console.create(1, -1);
    let file = console.scratch().file("text", "abracadabra");
    let (user_option, pid) = (format!("--reuid={user}"), node.pid().to_string());
    let is_limited = Command::new("setpriv")
        .args([&user_option, "--clear-groups", "prlimit", "--nproc=1", "--pid", &pid])
        .status()
        .unwrap();
    assert!(is_limited.success());
    let error = format!(
        "Error:1: search: can't start a thread: too many processes: user {user} may have 1, threads \
         included (RLIMIT_NPROC; ulimit -Hu raises it)"
    );
    console.ask(&format!("exec 1 search @{file} abra"), &error);
    console.ask("exec 1 search abracadabra abra", "Ok:1: 0;7");
    assert_eq!(console.finish().status, 0);
}

/// libzmq aborts its process when it gets no memory, for the stacks of its threads above all.
#[test]
fn a_limit_of_memory_that_is_too_low_is_said_to_be_one() {
    const UNUSABLE: i32 = 77;
    let mut refused = 0;
    for (option, name) in [("-d", "data"), ("-v", "the address space")] {
        for mib in (2..=40).step_by(2) {
            let kib = mib * 1024;
            // Too little to start any program tells nothing.
            let limit = format!("ulimit {option} {kib}; \"$1\" --version >&2 || exit {UNUSABLE}");
            let mut console = Console::start_after(&limit, &["--transport", "zmq"]);
            console.send_bytes(b"create 1\ncreate 2\nexec 1 echo here\n");
            console.end_input();
            let status = console.wait_exit();
            let errors = console.errors();
            let reason =
                format!("out of memory: the limit of {name} is {kib} KiB (ulimit {option} ");
            match status.code() {
                Some(UNUSABLE) => {}
                Some(0) => {
                    let replies = console.lines(3);
                    let is_good =
                        |reply: &String| reply.starts_with("Ok") || reply.contains(&reason);
                    assert!(replies[..2].iter().all(is_good), "{option} {kib}: {replies:?}");
                }
                code => {
                    assert_eq!(code, Some(1), "{option} {kib}: {status}: {errors}");
                    assert!(errors.contains(&reason), "{option} {kib}: {errors}");
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 0, "no limit was too low");
}

#[test]
fn creates_for_which_there_is_no_memory_say_so_and_harm_nothing() {
    let creates: String = (1..=100).map(|node| format!("create {node}\n")).collect();
    let mut console = Console::start_after("ulimit -d 22528", &["--transport", "zmq"]);
    console.send_bytes(creates.as_bytes());
    let replies = console.lines(100);
    let (made, refused): (Vec<_>, Vec<_>) =
        replies.iter().partition(|reply| reply.starts_with("Ok: "));
    assert!(!made.is_empty() && !refused.is_empty(), "{replies:?}");
    let reason = "out of memory: the limit of data is 22528 KiB (ulimit -d raises it)";
    assert!(refused.iter().all(|reply| reply.contains(reason)), "{refused:?}");
    console.ask("exec 1 echo here", "Ok:1: here");
    let finished = console.finish();
    assert_eq!((finished.status, &*finished.errors), (0, ""));
}

/// A process that asks for memory in vain is ended by its language.
#[test]
fn lines_and_answers_for_which_there_is_no_memory_say_so_and_harm_nothing() {
    let _heavy = load::heavy();
    let value = "x".repeat(VALUE_BYTES_MAX);
    let half = &value[..VALUE_BYTES_MAX / 2];
    let mut refused = 0;
    for mib in (24..=152).step_by(16) {
        let limit = format!("ulimit -d {}", mib * 1024);
        let mut console = Console::start_after(&limit, &["--timeout", "60000"]);
        let file = console.scratch().file("text", &"a".repeat(1_500_000));
        console.create_chain(2);
        for line in [
            format!("exec 2 echo {value}"),
            format!("exec 2 search @{file} a"),
            format!("exec 2 search {half} {half}"),
            format!("exec * echo {value}"),
        ] {
            console.send(&line);
            console.send("exec 2 echo here");
            loop {
                let reply = console.line_within(LONG_PATIENCE).text;
                if reply == "Ok:2: here" {
                    break;
                }
                let is_refused = reply.starts_with("Error:") && reply.contains("out of memory: ");
                assert!(is_refused || reply.starts_with("Ok:"), "{mib} MiB: {reply:.99}");
                refused += usize::from(is_refused);
            }
        }
        let finished = console.finish();
        assert_eq!((finished.status, &*finished.errors), (0, ""), "{mib} MiB");
    }
    assert!(refused > 10, "only {refused} were refused");
}

/// As in a sandbox without a network. Where the system lets no user make one there is nothing to test.
#[test]
fn without_a_loopback_interface_there_is_an_error_at_once() {
    let alone = "unshare -rn true || exit 77; set -- unshare -rn \"$@\"";
    let mut console = Console::start_after(alone, &["--transport", "zmq"]);
    console.send("create 1");
    console.end_input();
    if console.wait_exit().code() == Some(77) {
        return;
    }
    let reply = console.line().text;
    assert!(reply.contains("the loopback interface is down"), "{reply}");
    let mut console = Console::start_after(alone, &["--transport", "zmq:ipc"]);
    console.create(1, -1);
}

#[test]
fn the_longest_line_may_be_all_words() {
    let mut console = Console::start(&["--timeout", "60000"]);
    console.create(1, -1);
    let count = (LINE_BYTES_MAX - "exec 1 1000000".len()) / 2;
    console.send(&format!("exec 1 {count}{}", " 1".repeat(count)));
    assert_eq!(console.line_within(LONG_PATIENCE).text, format!("Ok:1: {count}"));
    assert_eq!(console.finish().status, 0);
}

/// Every node is told the path of the directory in a message that is bounded.
#[test]
fn a_log_directory_that_nodes_could_not_be_told_is_refused() {
    let long = "/x".repeat(769);
    let mut console = Console::start(&["--log-dir", &long]);
    assert_eq!(console.wait_exit().code(), Some(2));
    let why = "the path must be UTF-8 and have at most 1536 bytes";
    assert_eq!(console.errors(), format!("hoptree: can't write logs to {long}: {why}\n"));
}
