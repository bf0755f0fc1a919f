//! Creates on hosts where something is wrong: what they are answered, and what they leave.

use crate::console::Console;
use crate::deadline::PATIENCE;
use crate::faults::Verdict;
use crate::host::Host;
use crate::network::Network;

/// Has something go wrong on `a` or `b`, creates a node on a host, and expects an error that says this.
/// The id must be free again, and nothing left.
#[track_caller]
fn assert_refused(spoil: impl FnOnce(&Host, &Host), host: &str, texts: &[&str]) {
    let Some(network) = Network::new(2) else { return };
    let (a, b) = (network.host("a"), network.host("b"));
    spoil(a, b);
    let mut console = Console::on(a, &["--timeout", "60000"]);
    console.send(&format!("create 10 -1 --on {host}"));
    console.expect_error(texts);
    console.create("10 -1", a);
    console.ask("exec 10 echo hello", "Ok:10: hello");
    let ran = console.finish();
    assert_eq!((ran.status, ran.errors.as_str()), (0, ""));
    network.nothing_left(PATIENCE);
}

/// Creates a node on `b`, where the program is not as on `a`, and checks that it runs.
#[track_caller]
fn assert_joins(spoil: impl FnOnce(&Host)) {
    let Some(network) = Network::new(2) else { return };
    let (a, b) = (network.host("a"), network.host("b"));
    spoil(b);
    let mut console = Console::on(a, &["--timeout", "60000"]);
    console.create("10 -1 --on b", b);
    console.ask("exec 10 echo hello", "Ok:10: hello");
    console.create("11 10", b);
    console.finish();
    network.nothing_left(PATIENCE);
}

#[test]
#[ignore = "no node is started on another host yet"]
fn a_host_that_nobody_knows() {
    assert_refused(|_, _| (), "nosuch", &["nosuch", "resolve"]);
}

#[test]
#[ignore = "no node is started on another host yet"]
fn a_host_without_an_ssh_daemon() {
    assert_refused(|_, b| b.kill_sshd(), "b", &["b", "refused"]);
}

#[test]
#[ignore = "no node is started on another host yet"]
fn a_firewall_before_ssh() {
    assert_refused(|_, b| b.block(22, Verdict::Drop), "b", &["b", "timed out"]);
}

#[test]
#[ignore = "no node is started on another host yet"]
fn a_host_that_lets_nobody_in() {
    assert_refused(|_, b| b.trust_no_keys(), "b", &["b", "Permission denied"]);
}

#[test]
#[ignore = "no node is started on another host yet"]
fn a_host_whose_key_is_not_known() {
    assert_refused(|a, _| a.forget_host_keys(), "b", &["b", "host key", "not known"]);
}

#[test]
#[ignore = "no node is started on another host yet"]
fn a_host_without_ssh() {
    let hide = |a: &Host, _: &Host| drop(a.must("mount --bind /dev/null /usr/bin/ssh"));
    assert_refused(hide, "b", &["ssh", "Permission denied"]);
}

#[test]
#[ignore = "no node is started on another host yet"]
fn a_full_disk() {
    let fill = |_: &Host, b: &Host| {
        b.remove_program();
        b.fill_home();
    };
    assert_refused(fill, "b", &["b", "No space left"]);
}

#[test]
#[ignore = "no node is started on another host yet"]
fn a_home_directory_that_is_not_writable() {
    let lock = |_: &Host, b: &Host| {
        b.remove_program();
        b.make_home_read_only();
    };
    assert_refused(lock, "b", &["b", "Read-only"]);
}

#[test]
#[ignore = "no node is started on another host yet"]
fn a_host_without_the_program_is_sent_it() {
    assert_joins(Host::remove_program);
}

#[test]
#[ignore = "no node is started on another host yet"]
fn a_host_with_another_program_of_this_name_is_sent_the_right_one() {
    assert_joins(|b| b.replace_program("echo \"another version\"; exit 2"));
}

#[test]
#[ignore = "no node is started on another host yet"]
fn a_program_is_sent_once() {
    let Some(network) = Network::new(2) else { return };
    let (a, b) = (network.host("a"), network.host("b"));
    b.remove_program();
    let mut console = Console::on(a, &["--timeout", "60000"]);
    console.create("10 -1 --on b", b);
    console.finish();
    b.fill_home();
    let mut console = Console::on(a, &["--timeout", "60000"]);
    console.create("10 -1 --on b", b);
    console.finish();
    network.nothing_left(PATIENCE);
}
