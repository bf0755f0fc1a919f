//! The command line, and what it says about what is linked.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::process::{Command, Output, Stdio};

use hoptree as _;
use hoptree_core::{Registry, linked_launchers, linked_transports};

use crate::console::Console;
use crate::deadline::{PATIENCE, eventually};
use crate::scratch::Scratch;
use crate::transport::with_a_flaw;

/// Runs `hoptree` with these arguments and no input.
fn hoptree(args: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_hoptree"))
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

#[test]
fn bad_usage_is_2_and_says_why_on_the_standard_error() {
    for (args, mention) in [
        (&["--no-such-flag"][..], "--no-such-flag"),
        (&["--timeout", "soon"], "soon"),
        (&["--timeout"], "--timeout"),
        (&["--order", "sideways"], "sideways"),
        (&["no-such-script.txt"], "no-such-script.txt"),
        (&["--transport", "pigeon"], "pigeon"),
    ] {
        let (status, output, errors) = hoptree(args);
        assert_eq!((status, &*output), (2, ""), "{args:?}");
        assert!(errors.contains(mention) && !errors.contains("panicked"), "{args:?}: {errors}");
    }
}

#[test]
fn what_was_meant_is_said_when_something_is_mistyped() {
    let (status, _, errors) = hoptree(&["trasnports"]);
    assert_eq!(status, 2);
    assert!(errors.contains("No such file"), "{errors}");
    assert!(errors.ends_with("; did you mean 'hoptree transports'?\n"), "{errors}");
    let (_, _, errors) = hoptree(&["no-such-script.txt"]);
    assert!(!errors.contains("did you mean"), "{errors}");

    let finished = Console::run(&[], "create 1\nexec 1 tiem\ncraete 2\nexec 1 nonsense\n");
    let lines = finished.lines();
    assert_eq!(lines[1], "Error:1: unknown command 'tiem': did you mean 'time'?");
    assert_eq!(lines[2], "Error: unknown command 'craete': did you mean 'create'?");
    let list = "Error:1: unknown command 'nonsense': expected one of ";
    assert!(lines[3].starts_with(list), "{}", lines[3]);
}

#[test]
fn a_program_where_a_command_must_be_is_told_how_to_run_it() {
    let finished = Console::run(&[], "create 1\ncreate 2 1\nexec -b * ls -l\nexec 1 run true\n");
    let lines = finished.lines();
    let (error, hint) =
        ("Error:1-2: unknown command 'ls': ", "; 'exec ID run ls' runs a program (2 nodes)");
    assert!(lines[2].starts_with(error) && lines[2].ends_with(hint), "{}", lines[2]);
    assert_eq!(lines[3], "Ok:1: exit 0");
}

#[test]
fn an_unknown_transport_is_answered_with_the_linked_ones() {
    let (_, _, errors) = hoptree(&["--transport", "pigeon"]);
    let transports = linked_transports().unwrap();
    assert!(!transports.is_empty());
    for transport in transports {
        assert!(errors.contains(transport.name), "{errors}");
    }
}

#[test]
fn a_transport_with_a_flaw_is_refused_unless_the_user_insists() {
    for spec in with_a_flaw() {
        for args in [&["--transport", spec.name][..], &["bench", "--transports", spec.name]] {
            let (status, output, errors) = hoptree(args);
            assert_eq!((status, &*output), (2, ""), "{args:?}");
            let flaw = spec.flaw.unwrap();
            assert!(errors.contains(flaw) && errors.ends_with("--insecure\n"), "{errors}");
        }
    }
}

#[test]
fn every_linked_transport_is_listed_and_works() {
    let (status, listed, _) = hoptree(&["transports"]);
    assert_eq!(status, 0);
    // Long texts are wrapped.
    let listed = listed.split_whitespace().collect::<Vec<_>>().join(" ");
    let transports = linked_transports().unwrap();
    assert!(!transports.is_empty());
    for transport in transports {
        assert!(listed.contains(transport.name), "{listed}");
        if let Some(flaw) = transport.flaw {
            assert!(listed.contains(&format!("needs --insecure: {flaw}")), "{listed}");
        }
        let finished =
            Console::run(&["--transport", transport.name], "create 1\nexec 1 echo hello\n");
        assert_eq!(finished.lines()[1], "Ok:1: hello");
    }
}

#[test]
fn every_linked_launcher_is_listed() {
    let (status, listed, _) = hoptree(&["launchers"]);
    assert_eq!(status, 0);
    let listed = listed.split_whitespace().collect::<Vec<_>>().join(" ");
    let launchers = linked_launchers().unwrap();
    assert!(launchers.iter().any(|launcher| launcher.name == "ssh"));
    for launcher in launchers {
        assert!(!launcher.summary.is_empty());
        let words =
            format!("{} {} (package {})", launcher.name, launcher.summary, launcher.package);
        assert!(listed.contains(&words), "'{words}' is not in: {listed}");
        assert!(launcher.argument.is_none_or(|argument| listed.contains(argument)), "{listed}");
    }
}

#[test]
fn every_linked_command_is_listed_with_help_and_examples() {
    let (status, listed, _) = hoptree(&["commands"]);
    assert_eq!(status, 0);
    // Long texts are wrapped.
    let listed = listed.split_whitespace().collect::<Vec<_>>().join(" ");
    let registry = Registry::linked().unwrap();
    assert!(registry.modules().len() > 0);
    for module in registry.modules() {
        let words = module.words.iter().flat_map(|word| [word.usage, word.help]);
        let verbs = module.verbs.iter().flat_map(|verb| [verb.usage, verb.help]);
        let examples = module.examples.iter().map(|example| example.line);
        for text in words.chain(verbs).chain(examples).chain([module.name, module.summary]) {
            assert!(listed.contains(text), "'{text}' is not in\n{listed}");
        }
    }
}

#[test]
fn help_tells_every_word_and_verb() {
    let (status, usage, _) = hoptree(&["--help"]);
    assert_eq!(status, 0);
    for flag in ["--transport", "--timeout", "--order", "--log-dir", "--strict", "SCRIPT"] {
        assert!(usage.contains(flag), "'{flag}' is not in\n{usage}");
    }

    let help = Console::run(&[], "help\n").output;
    assert!(help.lines().count() > 1);
    let registry = Registry::linked().unwrap();
    let words = registry.words().map(|word| word.usage);
    let verbs = registry.verbs().map(|verb| verb.usage);
    for text in words.chain(verbs).chain(hoptree_core::CONSOLE_VERBS) {
        assert!(help.contains(text), "'{text}' is not in\n{help}");
    }

    let line_of = |usage: &str| help.lines().find(|line| line.contains(usage)).unwrap();
    let one = Console::run(&[], "help run\nhelp heartbit\n").output;
    assert_eq!(one.lines().collect::<Vec<_>>(), ["exec ID run", "heartbeat MS"].map(line_of));
    let exec = Console::run(&[], "help exec\n").output;
    assert_eq!(exec.lines().next(), Some(line_of("exec [")));
    for part in ["--timeout T ", "--fold, -b ", "3-9 ", "1.. ", "* ", "@up, @down ", "@2 ", "!5 "] {
        assert!(exec.contains(&format!("\n    {part}")), "'{part}' is not in\n{exec}");
    }
}

#[test]
fn version() {
    let own = concat!("hoptree ", env!("CARGO_PKG_VERSION"));
    assert_eq!(hoptree(&["-V"]), (0, format!("{own}\n"), String::new()));
    let (status, long, errors) = hoptree(&["--version"]);
    assert_eq!((status, &*errors), (0, ""));
    assert!(long.starts_with(own) && long.lines().any(|line| line.starts_with("rustc ")), "{long}");
    for spec in linked_transports().unwrap() {
        assert!(long.lines().any(|line| line == (spec.library)()), "{long}");
    }
}

#[test]
fn strict_tells_of_failed_commands_in_the_exit_status() {
    for (script, status) in [
        ("create 1\nping 1\nexec 1 echo\n", 0),
        ("ping 1\n", 1),
        ("create 1\nexec 1 3 1 2\nping 1\n", 1),
        ("no-such-verb\n", 1),
    ] {
        assert_eq!(Console::run(&["--strict"], script).status, status, "{script}");
        assert_eq!(Console::run(&[], script).status, 0, "{script}");
    }
}

#[test]
fn a_script_is_read_in_place_of_the_input() {
    let scratch = Scratch::new();
    let path = scratch.file("session.txt", "# a session\ncreate 1\nexec 1 echo scripted\n");
    let (status, output, errors) = hoptree(&[&path]);
    assert_eq!(status, 0);
    assert_eq!(output.lines().nth(1), Some("Ok:1: scripted"));
    assert_eq!(errors, "");
}

#[test]
fn a_dash_is_the_input() {
    assert_eq!(Console::run(&["-"], "create 1\nexec 1 echo piped\n").lines()[1], "Ok:1: piped");
}

#[test]
fn a_byte_order_mark_before_the_first_line_is_skipped() {
    let script = "\u{feff}create 1\r\nexec 1 echo hi\r\n\u{feff}ping 1\r\n";
    let scratch = Scratch::new();
    let path = scratch.file("windows.txt", script);
    for output in [Console::run(&[], script).output, hoptree(&[&path]).1] {
        let lines: Vec<_> = output.lines().collect();
        assert!(lines[0].starts_with("Ok: "), "{output}");
        assert_eq!(lines[1], "Ok:1: hi");
        assert!(lines[2].starts_with("Error: unknown command"), "{output}");
    }
}

#[test]
fn an_input_that_can_t_be_read_is_1_and_says_why() {
    let text: Vec<_> = "create 1\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let utf_16 = Console::run(&[], [&[0xff, 0xfe], &text[..]].concat());
    assert_eq!((utf_16.status, &*utf_16.output), (1, ""));
    assert!(utf_16.errors.contains("UTF-16"), "{}", utf_16.errors);

    // A read of a directory fails.
    let finished = Command::new(env!("CARGO_BIN_EXE_hoptree"))
        .stdin(File::open("/").unwrap())
        .output()
        .unwrap();
    assert_eq!((finished.status.code(), &*finished.stdout), (Some(1), &b""[..]));
    let errors = String::from_utf8(finished.stderr).unwrap();
    assert!(errors.contains("can't read standard input: Is a directory"), "{errors}");
}

/// What was read before is answered; the line that the failure has cut is not run.
#[test]
fn a_script_that_is_cut_while_it_is_read_is_1_and_runs_no_part_of_a_line() {
    let scratch = Scratch::new();
    let text = "x".repeat(1000);
    let lines = format!("exec 1 echo {text}\n").repeat(40_000);
    let path = scratch.file("long.txt", &format!("create 1\n{lines}"));
    let (reader, writer) = io::pipe().unwrap();
    let mut console = Console::start_writing_to(writer, &[&path]);
    let mut lines = BufReader::new(reader).lines().map(Result::unwrap);
    assert!(lines.next().unwrap().starts_with("Ok: "));

    // Nobody reads the output, so that most of the script can't have been read.
    File::options().write(true).open(&path).unwrap().set_len(100).unwrap();
    let answer = format!("Ok:1: {text}");
    lines.for_each(|line| assert_eq!(line, answer));
    assert_eq!(console.wait_exit().code(), Some(1));
    assert!(console.errors().contains("while it was read"), "{}", console.errors());
}

/// The tree may have used up, by the time that there is something to write, all threads that there
/// may be.
#[test]
fn the_thread_that_writes_runs_from_the_beginning() {
    let console = Console::start(&[]);
    let runs = |name: &str| console.process().threads().iter().any(|thread| thread == name);
    eventually("its threads run", PATIENCE, || {
        ["hop-stdin", "hop-stdout", "hop-signals"].iter().all(|name| runs(name))
    });
}

#[test]
fn an_answer_that_can_t_be_written_is_1_and_says_why() {
    let full = || File::options().write(true).open("/dev/full").unwrap();
    let mut console = Console::start_writing_to(full(), &[]);
    console.send("create 1\nping 1\nremove 1");
    console.end_input();
    assert_eq!(console.wait_exit().code(), Some(1));
    let errors = console.errors();
    assert!(errors.contains("can't write to stdout: No space left on device"), "{errors}");

    let listed = Command::new(env!("CARGO_BIN_EXE_hoptree"))
        .arg("commands")
        .stdout(full())
        .output()
        .unwrap();
    assert_eq!(listed.status.code(), Some(1));
}

#[test]
fn logs_go_to_a_file_for_each_node() {
    let scratch = Scratch::new();
    let directory = scratch.path().join("logs");
    std::fs::create_dir(&directory).unwrap();
    let args = ["-v", "--log-dir", directory.to_str().unwrap()];
    let finished = Console::run(&args, "create 1\ncreate 2 1\nexec 2 echo quiet\n");
    assert_eq!(finished.lines()[2..], ["Ok:2: quiet"]);
    assert_eq!(finished.status, 0);
    let files = std::fs::read_dir(&directory).unwrap().count();
    assert!(files >= 3, "{files} files for the control node and two nodes");
}

#[test]
fn nothing_is_logged_to_the_output() {
    let finished = Console::run(&["-v"], "create 1\nexec 1 echo quiet\n");
    assert_eq!(finished.lines()[1..], ["Ok:1: quiet"]);
}

/// In its last message, when it gives up. Where a user has chosen flags for the C++ compiler they stand.
#[test]
#[cfg_attr(debug_assertions, ignore = "what is for debuggers may say where the sources were")]
fn libzmq_does_not_say_where_its_sources_were() {
    if std::env::var("CXXFLAGS").is_ok_and(|flags| flags.contains("__FILE__")) {
        let program = std::fs::read(env!("CARGO_BIN_EXE_hoptree")).unwrap();
        let sources = b"zeromq-src";
        assert!(!program.windows(sources.len()).any(|bytes| bytes == sources));
    }
}

/// What is asked of every node on the way to an answer is no command of its own.
#[test]
fn a_node_that_can_t_be_reached_is_no_failure_of_pingall() {
    let mut console = Console::start(&["--strict"]);
    let node = console.create(2, -1);
    node.kill();
    console.ask("ping 2", "Ok: 0");
    console.ask("pingall", "Ok: 2");
    assert_eq!(console.finish().status, 0);
}
