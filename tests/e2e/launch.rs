//! Nodes on other machines. The launchers of these tests run what they are given on this one, so that
//! all that is different is which processes there are.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::console::Console;
use crate::deadline::{LONG_PATIENCE, PATIENCE, eventually};
use crate::process::Process;
use crate::scratch::Scratch;

/// A launcher that reaches this machine.
const LOCAL: &str = "local=env HOST={host} {argv}";

/// Long enough for a busy machine: to find out that the program is there already, all of it is read.
const PATIENT: &[&str] = &["--listen", "127.0.0.1", "--timeout", "60000", "--launcher", LOCAL];

impl Console {
    /// Creates a node on another machine, and returns its process.
    #[track_caller]
    fn create_on(&mut self, host: &str, node: u32, parent: i32) -> Process {
        self.send(&format!("create {node} {parent} --on {host} --with local"));
        self.expect_pid()
    }

    /// The process below the control node whose arguments begin so.
    #[track_caller]
    fn find(&self, words: &[&str]) -> Process {
        let is_it = |process: &Process| {
            let arguments = process.arguments();
            arguments.get(1..=words.len()).is_some_and(|its| its == words)
        };
        self.process().descendants().into_iter().find(is_it).unwrap()
    }
}

/// The control node, node 1 here, nodes 2 and 3 on another machine below it, and the processes beside
/// them.
struct Machines {
    console: Console,
    node: Process,
    stand_in: Process,
    tether: Process,
    guard: Process,
    remote: Process,
    below: Process,
}

impl Machines {
    fn new() -> Machines {
        let mut console = Console::start(PATIENT);
        let node = console.create(1, -1);
        let remote = console.create_on("web1", 2, 1);
        let below = console.create(3, 2);
        let stand_in = console.find(&["node", "2@web1"]);
        let tether = console.find(&["node", "tether:2@web1"]);
        let guard = console.find(&["guard"]);
        Machines { console, node, stand_in, tether, guard, remote, below }
    }

    fn all(&self) -> [Process; 6] {
        let Machines { node, stand_in, tether, guard, remote, below, .. } = self;
        [*node, *stand_in, *tether, *guard, *remote, *below]
    }

    /// Waits until these can be reached.
    #[track_caller]
    fn expect_reachable(&mut self, nodes: &[u32]) {
        for node in nodes {
            eventually("a node can be reached", PATIENCE, || {
                self.console.send(&format!("ping {node}"));
                self.console.line().text == "Ok: 1"
            });
        }
    }
}

#[track_caller]
fn expect_end(processes: &[Process]) {
    eventually("they end", PATIENCE, || !processes.iter().any(Process::runs));
}

#[test]
fn nodes_on_another_machine_are_nodes_as_any() {
    let mut machines = Machines::new();
    assert_eq!(machines.stand_in.parent(), machines.node.pid());
    assert_eq!(machines.remote.parent(), machines.guard.pid());
    assert_eq!(machines.below.parent(), machines.remote.pid());
    machines.console.ask("exec 3 echo there", "Ok:3: there");
    machines.console.ask("exec 2 sh echo $HOST", "2: web1");
    machines.console.expect("Ok:2: exit 0");
    let all = machines.all();
    machines.console.ask("remove 2", "Ok");
    expect_end(&all[1..]);
    assert!(all[0].runs());
    machines.console.create_on("web1", 2, 1);
    machines.console.ask("exec 2 echo again", "Ok:2: again");
    let finished = machines.console.finish();
    assert_eq!((finished.status, &*finished.errors), (0, ""));
}

#[test]
fn no_secret_is_in_an_argument_or_in_the_environment() {
    let machines = Machines::new();
    for process in [machines.guard, machines.stand_in, machines.tether] {
        let arguments = process.arguments();
        assert!(arguments.iter().all(|word| word.len() < 200), "{arguments:?}");
        let own = machines.node.environment();
        let more: Vec<_> = process.environment().difference(&own).cloned().collect();
        assert!(more.iter().all(|it| it == "HOST=web1" || it.starts_with("PWD=")), "{more:?}");
    }
}

/// Whichever of them is killed, and when the tree ends by whatever cause, nothing is left.
#[test]
fn whoever_is_killed_nothing_is_left_at_the_end() {
    for victim in 0..6 {
        let mut machines = Machines::new();
        let all = machines.all();
        all[victim].kill();
        eventually("it ends", PATIENCE, || !all[victim].runs());
        machines.console.end_input();
        machines.console.wait_exit();
        expect_end(&all);
        assert_eq!(machines.console.scratch().names(), [""; 0], "after {victim} was killed");
    }
    let machines = Machines::new();
    let all = machines.all();
    machines.console.process().kill();
    expect_end(&all);
}

#[test]
fn a_stopped_node_there_is_killed_at_the_end() {
    let mut machines = Machines::new();
    let all = machines.all();
    machines.remote.stop();
    machines.console.end_input();
    machines.console.wait_exit();
    expect_end(&all);
}

#[test]
fn the_death_of_the_parent_spares_the_machine() {
    let mut machines = Machines::new();
    machines.node.kill();
    machines.expect_reachable(&[2, 3]);
    let [_, rest @ ..] = machines.all();
    assert!(rest.iter().all(Process::runs));
    machines.console.ask("remove 2", "Ok");
    expect_end(&rest);
}

/// Those below it over there are taken in, and the connection stays for them.
#[test]
fn the_death_of_the_node_spares_those_below_it() {
    let mut machines = Machines::new();
    machines.remote.kill();
    expect_end(&[machines.stand_in]);
    machines.expect_reachable(&[3]);
    assert!(machines.tether.runs() && machines.guard.runs());
    machines.console.ask("ping 2", "Ok: 0");
    machines.console.ask("remove 3", "Ok");
    expect_end(&[machines.tether, machines.guard]);
}

/// As the parent kills a child that hangs.
#[test]
fn the_death_of_the_stand_in_is_that_of_the_node() {
    let mut machines = Machines::new();
    machines.remote.stop();
    machines.stand_in.kill();
    expect_end(&[machines.remote]);
    machines.expect_reachable(&[3]);
}

#[test]
fn with_the_connection_all_over_there_ends() {
    for victim in [2, 3] {
        let mut machines = Machines::new();
        let all = machines.all();
        all[victim].kill();
        expect_end(&all[1..]);
        machines.expect_reachable(&[1]);
        machines.console.ask("ping 3", "Ok: 0");
    }
}

#[test]
fn a_guard_that_is_asked_to_end_takes_all_along() {
    let machines = Machines::new();
    machines.guard.signal(rustix::process::Signal::TERM);
    expect_end(&machines.all()[1..]);
    assert!(machines.node.runs());
}

#[test]
fn logs_are_written_there_as_here() {
    let mut arguments = PATIENT.to_vec();
    arguments.extend(["--log-dir", "logs"]);
    let mut console = Console::start(&arguments);
    let node = console.create_on("web1", 2, -1);
    let log = console.scratch().path().join(format!("logs/node-2-{}.log", node.pid()));
    eventually("there is a log", PATIENCE, || log.exists());
}

/// A directory of programs that fail as `ssh` does, for PATH.
fn programs(scratch: &Scratch, programs: &[(&str, &str)]) -> String {
    for (name, script) in programs {
        let path = scratch.file(name, &format!("#!/bin/sh\n{script}\n"));
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = std::env::var("PATH").unwrap();
    format!("{}:{path}", scratch.path().display())
}

/// Checks what is replied to a create on a machine that is reached by such an `ssh`.
#[track_caller]
fn check_failure(ssh: &str, text: &str) {
    let scratch = Scratch::new();
    let path = programs(&scratch, &[("ssh", ssh)]);
    let mut console =
        Console::start_prepared(&["--listen", "127.0.0.1", "--timeout", "20000"], |command| {
            command.env("PATH", path);
        });
    console.ask("create 2 -1 --on web1", &format!("Error: node 2 could not start: {text}"));
    eventually("nothing is left", PATIENCE, || console.process().descendants().is_empty());
    let finished = console.finish();
    assert_eq!((finished.status, &*finished.errors), (0, ""), "{ssh}");
}

#[test]
fn each_failure_of_ssh_is_one_clear_reply() {
    check_failure(
        "echo 'ssh: Could not resolve hostname web1: Name or service not known' >&2; exit 255",
        "ssh has not reached web1 (exit status 255): ssh: Could not resolve hostname web1: Name or \
         service not known",
    );
    check_failure(
        "echo 'Host key verification failed.' >&2; exit 255",
        "the host key of web1 is not known: type 'ssh web1' once and accept it",
    );
    check_failure(
        "echo 'motd'; echo 'profile' >&2; echo 'sh: 1: exec: /bin/sh: not found' >&2; exit 127",
        "web1 can't run /bin/sh: sh: 1: exec: /bin/sh: not found",
    );
    check_failure(
        "kill -9 $$",
        "ssh has not reached web1 (killed by signal 9): it has said nothing",
    );
}

/// An `ssh` that runs what it is given here, with a shell as `sshd` does.
const SSH: &str = "while [ \"$1\" != -- ]; do shift; done; exec sh -c \"$3\"";

#[test]
fn a_server_that_has_too_many_is_tried_again() {
    let scratch = Scratch::new();
    let full = format!(
        "if mkdir '{0}/tried' 2>/dev/null; then\n\
         echo 'kex_exchange_identification: Connection closed by remote host' >&2; exit 255\nfi\n{SSH}",
        scratch.path().display()
    );
    let path = programs(&scratch, &[("ssh", &full)]);
    let mut console =
        Console::start_prepared(&["--listen", "127.0.0.1", "--timeout", "60000"], |command| {
            command.env("PATH", path);
        });
    console.send("create 2 -1 --on web1");
    console.expect_pid();
    assert!(scratch.names().contains(&"tried".to_owned()));
    console.ask("exec 2 echo there", "Ok:2: there");
}

#[test]
fn what_start_up_files_print_is_no_harm() {
    let scratch = Scratch::new();
    let noisy = format!("printf 'Welcome to web1'; echo 'a warning' >&2; {SSH}");
    let path = programs(&scratch, &[("ssh", &noisy)]);
    let mut console =
        Console::start_prepared(&["--listen", "127.0.0.1", "--timeout", "60000"], |command| {
            command.env("PATH", path);
        });
    console.send("create 2 -1 --on web1");
    console.expect_pid();
    let finished = console.finish();
    assert_eq!((finished.status, &*finished.errors), (0, ""));
}

#[test]
fn a_machine_that_says_nothing_is_given_up_before_the_deadline() {
    let scratch = Scratch::new();
    let path = programs(&scratch, &[("ssh", "echo 'still trying' >&2; exec sleep 60")]);
    let mut console =
        Console::start_prepared(&["--listen", "127.0.0.1", "--timeout", "2000"], |command| {
            command.env("PATH", path);
        });
    console.send("create 2 -1 --on web1");
    let reply = console.line().text;
    let begin = "Error: node 2 could not start: web1 has not answered within ";
    assert!(reply.starts_with(begin) && reply.ends_with(": still trying"), "{reply}");
    eventually("nothing is left", PATIENCE, || console.process().descendants().is_empty());
}

#[test]
fn a_launcher_that_is_not_there_is_told_at_once() {
    let absent = ["--listen", "127.0.0.1", "--launcher", "gone=/nonexistent/program {host} {argv}"];
    let mut console = Console::start(&absent);
    for (options, text) in [
        (
            "--on web1 --with gone",
            "node 2 could not start: there is no program '/nonexistent/program' here",
        ),
        ("--on web1 --with shs", "there is no launcher 'shs': did you mean 'ssh'?"),
        (
            "--on web1 --with exec",
            "the launcher 'exec' must be told a command: start hoptree with --launcher \
             NAME='COMMAND {host} {argv}', and write --with NAME",
        ),
    ] {
        console.ask(&format!("create 2 -1 {options}"), &format!("Error: {text}"));
    }
    let long = format!("x=srun {{argv}} {}", "x".repeat(512));
    for option in ["srun", "=srun {argv}", "x=srun", "ssh=srun {argv}", "x=srun '{argv}", &long] {
        let finished = Console::run(&["--launcher", option], "");
        assert_eq!(finished.status, 2, "{option}");
        let begin = format!("hoptree: --launcher {option}: ");
        assert!(finished.errors.starts_with(&begin), "{}", finished.errors);
    }
}

/// A launcher to a machine of its own, as far as processes go; none where users may not make one.
fn container() -> Option<&'static str> {
    const MAKE: [&str; 5] = ["--user", "--map-root-user", "--pid", "--fork", "--kill-child"];
    let made = Command::new("unshare").args(MAKE).args(["--mount-proc", "true"]).output();
    made.is_ok_and(|made| made.status.success()).then_some(
        "far=unshare --user --map-root-user --pid --fork --kill-child --mount-proc {argv}",
    )
}

#[test]
fn a_node_whose_processes_nobody_here_can_see_is_a_node_as_any() {
    let Some(launcher) = container() else { return };
    let arguments = ["--listen", "127.0.0.1", "--timeout", "60000", "--launcher", launcher];
    let mut console = Console::start(&arguments);
    let parent = console.create(1, -1);
    for line in ["create 2 1 --on far --with far", "create 3 2"] {
        console.send(line);
        assert!(console.line().text.starts_with("Ok: "));
    }
    console.ask("exec 3 echo there", "Ok:3: there");
    parent.kill();
    for node in [2, 3] {
        eventually("a node is taken in", PATIENCE, || {
            console.send(&format!("ping {node}"));
            console.line().text == "Ok: 1"
        });
    }
    console.ask("remove 2", "Ok");
    eventually("nothing is left", PATIENCE, || console.process().descendants().is_empty());
}

#[test]
fn a_parent_that_can_not_be_reached_is_told_with_its_address() {
    let Some(launcher) = container() else { return };
    // Nobody may listen there but root.
    let arguments = ["--listen", "127.0.0.1", "--advertise", "127.0.0.1:1"];
    let arguments = [&arguments[..], &["--timeout", "20000", "--launcher", launcher]].concat();
    let mut console = Console::start(&arguments);
    console.send("create 2 -1 --on far --with far");
    let reply = console.line_within(LONG_PATIENCE).text;
    let begin = "Error: node 2 could not start: can't reach its parent: 127.0.0.1:1: ";
    assert!(reply.starts_with(begin) && reply.contains("Connection refused"), "{reply}");
}

/// A console whose program is not at the place at which it was started, with a launcher to a machine
/// that has this environment.
fn moved(environment: &str) -> (Console, Scratch) {
    let scratch = Scratch::new();
    let program = scratch.path().join("moved");
    if fs::hard_link(env!("CARGO_BIN_EXE_hoptree"), &program).is_err() {
        fs::copy(env!("CARGO_BIN_EXE_hoptree"), &program).unwrap();
    }
    let launcher = format!("local=env {environment} HOST={{host}} {{argv}}");
    let commands = format!("shift\nset -- '{}' \"$@\"", program.display());
    let mut console = Console::start_after(
        &commands,
        &["--listen", "127.0.0.1", "--timeout", "60000", "--launcher", &launcher],
    );
    console.create(1, -1);
    fs::remove_file(program).unwrap();
    (console, scratch)
}

fn cached(place: &Path) -> Vec<PathBuf> {
    let list = |path: &Path| fs::read_dir(path).into_iter().flatten().map(|it| it.unwrap().path());
    list(&place.join("hoptree")).flat_map(|digest| list(&digest).collect::<Vec<_>>()).collect()
}

#[test]
fn the_program_is_copied_once_to_a_machine_that_lacks_it() {
    let cache = Scratch::new();
    let (mut console, _scratch) = moved(&format!("XDG_CACHE_HOME={}", cache.path().display()));
    console.create_on("web1", 2, 1);
    console.ask("exec 2 echo there", "Ok:2: there");
    let [program] = &cached(cache.path())[..] else { panic!("{:?}", cached(cache.path())) };
    let metadata = fs::metadata(program).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o777, 0o700);
    assert_eq!(metadata.len(), fs::metadata(env!("CARGO_BIN_EXE_hoptree")).unwrap().len());
    let made = metadata.modified().unwrap();
    console.create_on("web1", 3, 1);
    assert_eq!(fs::metadata(program).unwrap().modified().unwrap(), made);
    let below = console.create(4, 3);
    assert_eq!(fs::read_link(format!("/proc/{}/exe", below.pid())).unwrap(), *program);
    let finished = console.finish();
    assert_eq!((finished.status, &*finished.errors), (0, ""));
}

#[test]
fn what_keeps_the_program_from_being_copied_is_one_clear_reply() {
    let scratch = Scratch::new();
    let file = scratch.file("file", "");
    // A `head` as on a disk that is full, and one that loses bytes; and an `uname` of another machine.
    let full = "echo \"head: write error: No space left on device\" >&2; exit 1";
    for (environment, program, text) in [
        (
            "-u HOME -u XDG_CACHE_HOME".to_owned(),
            None,
            "neither HOME nor XDG_CACHE_HOME is set there",
        ),
        (
            format!("XDG_CACHE_HOME={file}"),
            None,
            "there is no place for the program on web1: mkdir: ",
        ),
        (
            "XDG_CACHE_HOME=/sys".to_owned(),
            None,
            "there is no place for the program on web1: mkdir: ",
        ),
        (
            format!("XDG_CACHE_HOME={}/full", scratch.path().display()),
            Some(("head", full)),
            "the program can't be written on web1: head: write error: No space left on device",
        ),
        (
            format!("XDG_CACHE_HOME={}/short", scratch.path().display()),
            Some(("head", "cat >/dev/null & printf 0123456789")),
            "the program has arrived on web1 with 10 bytes only",
        ),
        (
            format!("XDG_CACHE_HOME={}/other", scratch.path().display()),
            Some(("uname", "echo Plan9 pdp11")),
            "web1 is a machine of another kind, Plan9 pdp11 Plan9 pdp11: this program is for Linux ",
        ),
    ] {
        let tools = Scratch::new();
        let path = programs(&tools, program.as_slice());
        let (mut console, _moved) = moved(&format!("{environment} PATH={path}"));
        console.send("create 2 1 --on web1 --with local");
        let reply = console.line().text;
        assert!(reply.starts_with("Error: node 2 could not start: "), "{reply}");
        assert!(reply.contains(text), "'{text}' is not in: {reply}");
        assert!(cached(&scratch.path().join("full")).is_empty(), "nothing is left of it");
    }
}

#[test]
fn a_program_that_is_damaged_on_its_way_is_told() {
    let (tools, cache) = (Scratch::new(), Scratch::new());
    // Its last byte is another one.
    let damage = "/usr/bin/head -c $(($2 - 1)); printf x; /usr/bin/head -c 1 >/dev/null";
    let path = programs(&tools, &[("head", damage)]);
    let (mut console, _moved) =
        moved(&format!("XDG_CACHE_HOME={} PATH={path}", cache.path().display()));
    console.send("create 2 1 --on web1 --with local");
    let reply = console.line().text;
    let text = "Error: node 2 could not start: the program is not the same any more on web1: its \
                digest is ";
    assert!(reply.starts_with(text), "{reply}");
}
