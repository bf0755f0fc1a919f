//! Whatever is typed gets its one answer, and the session goes on.

use std::time::Duration;

use hoptree_core::{LINE_BYTES_MAX, VALUE_BYTES_MAX};

use crate::console::Console;
use crate::deadline::AT_ONCE;
use crate::load;

/// A line, and what its one error must mention.
type Fault = (&'static [u8], &'static [&'static str]);

/// Typed after `create 1`.
const FAULTS: &[Fault] = &[
    (b"create", &[]),
    (b"create x", &["x"]),
    (b"create 1.5", &["1.5"]),
    (b"create 0x10", &["0x10"]),
    (b"create -1", &["-1"]),
    (b"create -5", &["-5", "2147483647"]),
    (b"create 2147483648", &["2147483648", "2147483647"]),
    (b"create 99999999999999999999999", &["2147483647"]),
    (b"create 7 1 3", &["3"]),
    (b"create 7 x", &["x"]),
    (b"create 7 -2", &["-2"]),
    (b"exec", &[]),
    (b"exec 1", &["echo"]),
    (b"exec x echo", &["x"]),
    (b"exec -1 echo", &["-1"]),
    (b"exec 1 frobnicate", &["frobnicate", "echo", "start", "stop", "time"]),
    (b"exec 1 start now", &["now"]),
    (b"exec 1 time 5", &["5"]),
    (b"exec 1 3 1 2", &["3", "2"]),
    (b"exec 1 2 1 2 3", &["2", "3"]),
    (b"exec 1 2 1 x", &["x"]),
    (b"exec 1 -2 1 2", &["-2"]),
    (b"exec 1 99999999999999999999 1", &[]),
    (b"ping", &[]),
    (b"ping x", &["x"]),
    (b"ping -1", &["-1"]),
    (b"ping 1 2", &["2"]),
    (b"remove", &[]),
    (b"remove x", &["x"]),
    (b"remove -1", &["-1"]),
    (b"heartbeat", &[]),
    (b"heartbeat -5", &["-5"]),
    (b"heartbeat abc", &["abc"]),
    (b"heartbeat 9", &["9", "10"]),
    (b"heartbeat 86400001", &["86400000"]),
    (b"heartbeat 100 200", &["200"]),
    (b"heartbit 1e3", &["1e3"]),
    (b"sleep", &[]),
    (b"sleep x", &["x"]),
    (b"sleep -1", &["-1"]),
    (b"crate 1", &["crate", "create"]),
    (b"CREATE 1", &["create"]),
    (b"pong 1", &["pong", "ping"]),
    (b"heartbeet 100", &["heartbeat"]),
    (b"exce 1 echo", &["exec"]),
    (b"qwertyuiop", &["qwertyuiop"]),
    (b"-1", &[]),
    (b"exec 1 echo \xff\xfe", &["UTF-8"]),
    (b"\xc3", &["UTF-8"]),
    (b"create\0 1", &[]),
    (b"ping 1\0", &[]),
];

#[test]
fn every_fault_gets_one_clear_error() {
    let mut console = Console::start(&[]);
    console.create(1, -1);
    for (line, mentions) in FAULTS {
        let typed = String::from_utf8_lossy(line);
        console.send_bytes(&[line, &b"\n"[..]].concat());
        let reply = console.line().text;
        assert!(is_error(&reply), "'{typed}' gets '{reply}'");
        for word in *mentions {
            assert!(reply.contains(word), "'{typed}' gets '{reply}', which lacks '{word}'");
        }
        console.ask("exec 1 echo next", "Ok:1: next");
    }
    console.ask("ping 7", "Error: Not found");
    assert_eq!(console.finish().status, 0);
}

/// An answer like `Error: TEXT` or `Error:ID: TEXT`.
fn is_error(reply: &str) -> bool {
    let Some(rest) = reply.strip_prefix("Error:") else { return false };
    let text = rest.trim_start_matches(|digit: char| digit.is_ascii_digit());
    let text = if rest.len() == text.len() { text } else { text.strip_prefix(':').unwrap_or("") };
    text.strip_prefix(' ').is_some_and(|text| !text.trim().is_empty())
}

#[test]
fn errors_with_a_text_of_their_own() {
    let mut console = Console::start(&[]);
    console.create(1, -1);
    for (line, reply) in [
        ("ping 99", "Error: Not found"),
        ("remove 99", "Error: Not found"),
        ("exec 99 time", "Error:99: Not found"),
        ("exec 99 frobnicate", "Error:99: Not found"),
        ("create 1", "Error: Already exists"),
        ("create 1 99", "Error: Already exists"),
        ("create 2 99", "Error: Parent not found"),
        ("create 2 2", "Error: Parent not found"),
    ] {
        console.ask(line, reply);
    }
}

#[test]
fn the_extremes_of_what_is_allowed() {
    let mut console = Console::start(&[]);
    console.send("create 0");
    console.expect_pid();
    console.send("create 2147483647 0");
    console.expect_pid();
    console.ask("exec 2147483647 echo far", "Ok:2147483647: far");
    console.ask("ping 0", "Ok: 1");
    for interval in ["10", "86400000", "0"] {
        console.ask(&format!("heartbeat {interval}"), "Ok");
    }
}

/// A sum is right or refused, but never wrapped.
#[test]
fn sums_at_the_edge() {
    let mut console = Console::start(&[]);
    console.create(1, -1);
    console.ask("exec 1 3 -5 2 -4", "Ok:1: -7");
    console.ask("exec 1 1 9223372036854775807", "Ok:1: 9223372036854775807");
    console.ask("exec 1 3 9223372036854775807 1 -1", "Ok:1: 9223372036854775807");
    console.send("exec 1 2 9223372036854775807 1");
    let reply = console.line().text;
    assert!(reply == "Ok:1: 9223372036854775808" || is_error(&reply), "{reply}");
}

#[test]
fn blanks_comments_and_line_ends() {
    let mut console = Console::start(&[]);
    console.send_bytes(b"\n\r\n   \n\t\n# create 5\n  # create 6\r\n");
    console.send_bytes(b"  create\t1   -1 \r\n");
    console.expect_pid();
    console.ask("ping 5", "Error: Not found");
    console.ask("\t ping \t 1 ", "Ok: 1");
    console.ask("exec 1 echo two words\r", "Ok:1: two words");
    console.ask("exec 1 echo", "Ok:1");
    console.ask("exec 1 echo žluťoučký 木 🌳", "Ok:1: žluťoučký 木 🌳");
}

#[test]
fn the_last_line_may_lack_its_end() {
    for last in ["ping 1", "ping 1\r", "ping 1\n", "ping 1\r\n"] {
        let finished = Console::run(&[], format!("create 1\n{last}"));
        assert_eq!(finished.lines()[1..], ["Ok: 1"], "{last:?}");
        assert!(finished.output.ends_with('\n'));
    }
}

#[test]
fn a_nul_byte_is_one_answer() {
    let mut console = Console::start(&[]);
    console.create(1, -1);
    console.send_bytes(b"exec 1 echo a\0b\n");
    let reply = console.line().text;
    assert!(reply == "Ok:1: a\0b" || is_error(&reply), "{reply:?}");
    console.ask("exec 1 echo next", "Ok:1: next");
}

#[test]
fn lines_of_every_length_up_to_the_greatest() {
    let mut console = Console::start(&[]);
    console.create_chain(2);
    let command = "exec 2 echo ";
    for length in [150, 300, 4096, 32 * 1024, 65 * 1024, VALUE_BYTES_MAX] {
        let text: String = ('a'..='z').cycle().take(length).collect();
        console.ask(&format!("{command}{text}"), &format!("Ok:2: {text}"));
    }
}

#[test]
fn lines_beyond_the_greatest() {
    let mut console = Console::start(&[]);
    console.create(1, -1);
    for length in [LINE_BYTES_MAX + 1, 4 * LINE_BYTES_MAX] {
        let text = "x".repeat(length - "exec 1 echo ".len());
        console.send(&format!("exec 1 echo {text}"));
        let reply = console.line().text;
        assert!(is_error(&reply) && reply.contains(&LINE_BYTES_MAX.to_string()), "{reply}");
        console.ask("exec 1 echo next", "Ok:1: next");
    }
    console.send_bytes("y".repeat(2 * LINE_BYTES_MAX).as_bytes());
    let finished = console.finish();
    assert!(is_error(finished.lines().last().unwrap()));
    assert_eq!(finished.status, 0);
}

/// A line is answered when it is there, whether or not more input follows.
#[test]
fn lines_are_answered_while_the_pipe_stays_open() {
    let _timed = load::timed();
    let mut console = Console::start(&[]);
    console.create(1, -1);
    assert!(console.ask("ping 1", "Ok: 1").took() < AT_ONCE);

    console.send_bytes(b"ping 1\nping 2\n");
    console.expect("Ok: 1");
    console.expect("Error: Not found");

    console.send_bytes(b"pi");
    console.expect_silence(Duration::from_millis(50));
    console.send_bytes(b"ng 1\npin");
    console.expect("Ok: 1");
    console.send_bytes(b"g 1\n");
    console.expect("Ok: 1");
}

/// Noise must not panic a node either; a panic would show on the standard error.
#[test]
fn noise_is_survived() {
    let mut console = Console::start(&[]);
    console.create(1, -1);
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut noise = Vec::new();
    let verbs = ["create ", "exec 1 ", "ping ", "heartbeat ", "remove 9 ", ""];
    for _ in 0..500 {
        noise.extend_from_slice(verbs[(next(&mut seed) % 6) as usize].as_bytes());
        let bytes = (0..next(&mut seed) % 40).map(|_| (next(&mut seed) % 256) as u8);
        noise.extend(bytes.filter(|byte| *byte != b'\n'));
        noise.push(b'\n');
    }
    console.send_bytes(&noise);
    console.send("exec 1 echo the end");
    let mut answered = 0;
    while console.line().text != "Ok:1: the end" {
        answered += 1;
    }
    // Some of the noise is blank.
    assert!((300..=500).contains(&answered), "{answered} answers");
    assert_eq!(console.finish().errors, "");
}

/// An xorshift generator: the same noise in every run.
fn next(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}
