//! The process that a node's parent has as its child while the node itself is on another machine.

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use hoptree_core::{Address, Birth, Exit, Host};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};

use crate::ending::die_by;
use crate::failure::Failure;
use crate::logging;
use crate::process::{Heritage, Role, detach, say_farewell, start_tether};

/// What became of a node, as the tether tells it: the last that it says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Fate {
    /// Its process has ended so, with its last words if it had any.
    Ended(Exit, Option<String>),
    /// It was not started, or nothing more is known of it; why.
    Unknown(String),
}

/// Stands in for a node until that has ended, or the tree has. Then it ends in the same way.
///
/// # Errors
///
/// When it can't begin.
pub fn run(
    birth: Birth,
    host: Host,
    parent: &Address,
    heritage: Heritage,
) -> Result<ExitCode, Failure> {
    let lifeline = detach(heritage.lifeline).map_err(Failure::refused("detach from the parent"))?;
    logging::start_compute_node(&heritage.logs, birth.life);
    let mut tether =
        start_tether(&Role::Tether(birth, host), parent, heritage).map_err(Failure::Runtime)?;
    loop {
        // Nothing is ever written to the lifeline.
        let mut fds =
            [PollFd::new(&lifeline, PollFlags::empty()), PollFd::new(&tether, PollFlags::IN)];
        match poll(&mut fds, None) {
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(error) => return Err(Failure::doing("wait")(error)),
        }
        let [broken, told] = fds.map(|fd| !fd.revents().is_empty());
        if broken {
            return Ok(ExitCode::SUCCESS);
        }
        if told {
            return end(hear(&mut tether));
        }
    }
}

fn hear(tether: &mut UnixStream) -> Fate {
    let mut told = Vec::new();
    let heard = tether.read_to_end(&mut told);
    heard.ok().and_then(|_| postcard::from_bytes(&told).ok()).unwrap_or_else(|| {
        Fate::Unknown("the process that held the connection to its machine has ended".to_owned())
    })
}

/// Ends this process as the node has.
fn end(fate: Fate) -> Result<ExitCode, Failure> {
    let (exit, words) = match fate {
        Fate::Ended(exit, words) => (exit, words),
        Fate::Unknown(why) => return Err(Failure::Runtime(why)),
    };
    if let Some(words) = words {
        say_farewell(&words);
    }
    match exit {
        Exit::Status(status) => Ok(ExitCode::from(u8::try_from(status).unwrap_or(u8::MAX))),
        Exit::Signal(signal) => {
            // What there is to dump is over there.
            let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
            logging::finish();
            die_by(signal)
        }
    }
}
