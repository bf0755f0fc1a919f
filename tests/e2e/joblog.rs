//! `--joblog`: a line for each command and node that was answered.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::console::Console;
use crate::deadline::{LONG_PATIENCE, PATIENCE, eventually};
use crate::scratch::Scratch;

const HEADER: &str = "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand";

/// The columns of one line.
fn columns(line: &str) -> Vec<&str> {
    line.splitn(9, '\t').collect()
}

/// The lines but for their times, sorted.
fn rows(log: &str) -> Vec<String> {
    let mut lines = log.lines();
    assert_eq!(lines.next(), Some(HEADER));
    let untimed = |line| {
        let mut columns = columns(line);
        columns.drain(2..4);
        columns.join(" ")
    };
    let mut rows: Vec<_> = lines.map(untimed).collect();
    rows.sort();
    rows
}

#[test]
fn a_line_is_written_for_each_command_and_node() {
    let scratch = Scratch::new();
    let path = scratch.path().join("jobs");
    let path = path.to_str().unwrap();
    let began = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let mut console = Console::start(&["--joblog", path]);
    console.create(1, -1);
    console.create(2, -1);
    console.create(3, -1).stop();
    for line in [
        "# no command",
        "exec 1,2 echo hello  there",
        "exec 1 no-such-word",
        "exec 9 echo",
        "exec --timeout 50 3 echo late",
    ] {
        console.send(line);
    }
    let finished = console.finish();
    assert_eq!((finished.status, &*finished.errors), (0, ""));
    let log = fs::read_to_string(path).unwrap();
    let unknown = finished.lines().iter().find_map(|line| line.strip_prefix("Error:1: ")).unwrap();
    let expected = [
        "4 1 17 11 0 0 echo hello  there".to_owned(),
        "4 2 17 11 0 0 echo hello  there".to_owned(),
        format!("5 1 12 {} 1 0 no-such-word", unknown.len()),
        "6 9 4 0 1 0 echo".to_owned(),
        "7 3 9 0 -1 0 echo late".to_owned(),
    ];
    assert_eq!(rows(&log), expected);
    for line in log.lines().skip(1) {
        let columns = columns(line);
        let (started, runtime) = (columns[2].parse::<f64>().unwrap(), columns[3].parse::<f64>());
        let runtime = runtime.unwrap();
        let is_late = columns[8].ends_with("late");
        // The clock of the day may be set meanwhile, but not by a day.
        assert!((started - began).abs() < 86_400.0, "{line}");
        assert!(runtime >= if is_late { 0.05 } else { 0.0 }, "{line}");
        assert!(runtime < LONG_PATIENCE.as_secs_f64(), "{line}");
    }

    // What is there stays, and has its header already.
    let finished = Console::run(&["--joblog", path], "create 1\nexec 1 echo again\n");
    assert_eq!(finished.status, 0);
    let mut rows_of_both = expected.to_vec();
    rows_of_both.push("2 1 10 5 0 0 echo again".to_owned());
    rows_of_both.sort();
    assert_eq!(rows(&fs::read_to_string(path).unwrap()), rows_of_both);
}

#[test]
fn how_a_program_ended_is_told_wherever_it_ran_and_however_its_answer_came() {
    let scratch = Scratch::new();
    let path = scratch.path().join("jobs");
    let mut console = Console::start(&["--joblog", path.to_str().unwrap()]);
    console.create_chain(3);
    console.ask("exec 3 sh exit 3", "Error:3: sh: exit 3");
    console.ask("exec 3 run sh -c 'kill -SEGV $$'", "Error:3: run: killed by SIGSEGV");
    console.ask("exec 3 run sh -c 'kill -40 $$'", "Error:3: run: killed by signal 40");
    console.ask("exec 3 run no-such-program", "Error:3: run: 'no-such-program' not found");
    console.ask("exec -b 1-3 sh exit 4", "Error:1-3: sh: exit 4 (3 nodes)");
    for (bytes, status) in [(100_000, 5), (2_000_000, 6)] {
        console
            .send(&format!("exec -b 2 sh head -c {bytes} /dev/zero | tr '\\0' x; exit {status}"));
        // With more than a node holds, the output comes first.
        let is_answer = |line: &str| line == format!("Error:2: sh: exit {status}");
        while !is_answer(&console.line().text) {}
    }
    console.ask("exec -b 1-3 run true", "Ok:1-3: exit 0 (3 nodes)");
    assert_eq!(console.finish().status, 0);
    let log = fs::read_to_string(path).unwrap();
    let ends = log.lines().skip(1).map(|line| {
        let columns = columns(line);
        (columns[1].parse().unwrap(), columns[6].parse().unwrap(), columns[7].parse().unwrap())
    });
    let mut ends: Vec<(u32, i32, i32)> = ends.collect();
    // Those of one command are written in the order in which they were answered.
    ends[4..7].sort_unstable();
    ends[9..].sort_unstable();
    let expected = [(3, 3, 0), (3, 0, 11), (3, 0, 40), (3, 1, 0)];
    let folded = [(1, 4, 0), (2, 4, 0), (3, 4, 0), (2, 5, 0), (2, 6, 0)];
    assert_eq!(ends, [&expected[..], &folded, &[(1, 0, 0), (2, 0, 0), (3, 0, 0)]].concat());
}

#[test]
fn a_line_is_there_once_its_answer_is() {
    let scratch = Scratch::new();
    let path = scratch.path().join("jobs");
    let mut console = Console::start(&["--joblog", path.to_str().unwrap()]);
    console.create(1, -1);
    console.ask("exec 1 echo hello", "Ok:1: hello");
    eventually("it is logged", PATIENCE, || {
        fs::read_to_string(&path).is_ok_and(|log| log.ends_with("\t0\t0\techo hello\n"))
    });
}

#[test]
fn a_full_disk_is_told_once_and_is_not_the_end() {
    let script = "create 1\nexec 1 echo one\nwait\nexec 1 echo two\nwait\nexec 1 echo three\n";
    let finished = Console::run(&["--joblog", "/dev/full"], script);
    assert_eq!(finished.status, 0);
    assert_eq!(finished.lines()[1..], ["Ok:1: one", "Ok:1: two", "Ok:1: three"]);
    let told = "hoptree: can't write the job log /dev/full: No space left on device (os error 28); it \
                goes on once that is put right\n";
    assert_eq!(finished.errors, told);
}

#[test]
fn a_directory_that_vanishes_is_told_once_and_the_log_goes_on_when_it_is_back() {
    let scratch = Scratch::new();
    let directory = scratch.path().join("logs");
    fs::create_dir(&directory).unwrap();
    let path = directory.join("jobs");
    let mut console = Console::start(&["--joblog", path.to_str().unwrap()]);
    console.create(1, -1);
    fs::remove_dir_all(&directory).unwrap();
    console.ask("exec 1 echo lost", "Ok:1: lost");
    console.ask("exec 1 echo lost", "Ok:1: lost");
    eventually("it is told", PATIENCE, || console.errors().contains("can't write the job log"));
    fs::create_dir(&directory).unwrap();
    eventually("it is logged", PATIENCE, || {
        console.ask("exec 1 echo back", "Ok:1: back");
        fs::read_to_string(&path).is_ok_and(|log| log.starts_with(HEADER))
    });
    assert_eq!(console.errors().lines().count(), 1, "{}", console.errors());
}

#[test]
fn a_log_that_can_t_be_opened_is_an_error_at_the_start() {
    let finished = Console::run(&["--joblog", "/no/such/directory/jobs"], "create 1\n");
    assert_eq!((finished.status, finished.lines().len()), (2, 0));
    let told = "hoptree: can't write the job log /no/such/directory/jobs: No such file";
    assert!(finished.errors.starts_with(told), "{}", finished.errors);
}
