//! A process without memory for the stack of a thread, which is why this is a program of its own.

#![allow(clippy::unwrap_used, reason = "in a test, whatever goes wrong must end it")]

use std::fs;
use std::thread;

use hoptree_system::explain_thread;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The system says the same as when there are too many processes.
#[test]
fn a_thread_for_which_there_is_no_memory_names_the_limit_of_memory() {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let data = status.lines().find_map(|line| line.strip_prefix("VmData:")).unwrap();
    let data: u64 = data.trim().strip_suffix(" kB").unwrap().parse().unwrap();
    let (limit, maximum) = (data + 1024, getrlimit(Resource::Data).maximum);
    setrlimit(Resource::Data, Rlimit { current: Some(limit * 1024), maximum }).unwrap();
    let error = thread::Builder::new().stack_size(2 << 20).spawn(|| ()).unwrap_err();
    let named = format!("out of memory: the limit of data is {limit} KiB (ulimit -d raises it)");
    assert_eq!(explain_thread(&error), named);
}
