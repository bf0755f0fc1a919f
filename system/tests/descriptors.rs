//! A process without descriptors, which is why this is a program of its own.

#![allow(clippy::unwrap_used, reason = "in a test, whatever goes wrong must end it")]

use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};

use hoptree_system::{
    inherit_original_limit, keep_spare, original_limit, raise_limit, require_descriptors,
};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

#[test]
fn who_comes_when_descriptors_have_run_out_is_turned_away() {
    let usual = getrlimit(Resource::Nofile);
    let set = |current| {
        let limit = Rlimit { current: Some(current), maximum: usual.maximum };
        setrlimit(Resource::Nofile, limit).unwrap();
    };
    set(40);
    raise_limit();
    assert_eq!(getrlimit(Resource::Nofile).current, usual.maximum);
    assert_eq!(original_limit().unwrap().current, Some(40));
    inherit_original_limit(Some(39));
    raise_limit();
    assert_eq!(original_limit(), Some(Rlimit { current: Some(39), maximum: usual.maximum }));
    set(40);

    keep_spare().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let comers = [(); 2].map(|()| TcpStream::connect(address).unwrap());
    require_descriptors(5).unwrap();
    let mut others = Vec::new();
    let refusal = loop {
        match rustix::io::dup(rustix::stdio::stderr()) {
            Ok(other) => others.push(other),
            Err(error) => break error,
        }
    };
    assert_eq!(refusal, Errno::MFILE);
    let text = require_descriptors(1).unwrap_err();
    assert!(text.contains("too many open files: the limit of open files is 40 "), "{text}");

    for comer in &comers {
        let refused = listener.accept().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionAborted, "{refused}");
        comer.set_nonblocking(true).unwrap();
        assert_ne!(comer.peek(&mut [0]).map_err(|error| error.kind()), Err(ErrorKind::WouldBlock));
    }
    let refused = listener.accept().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::WouldBlock, "nobody waits: {refused}");

    drop(others);
    let comer = TcpStream::connect(address).unwrap();
    let (_, from) = listener.accept().unwrap();
    assert_eq!(from, comer.local_addr().unwrap());
}
