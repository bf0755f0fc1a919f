//! A process in which one measure is taken over one transport.
//!
//! It is the control node of what is measured, with the threads, the memory and the open files of a
//! console and of nobody else. So transports can take turns without being in each other's way, and
//! what goes wrong with one of them is the end of nothing but its stage.

use std::env;
use std::io::{self, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::PathBuf;

use hoptree_core::{Address, Registry, Token, TransportSpec};
use hoptree_host::process::{self, Heritage, make_directory, remove_directory};
use hoptree_host::{Failure, Helper, transports};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::alarm::{Alarm, Stop, TreeSignals};
use super::crew::Crew;
use super::figure::Found;
use super::measure::Measure;
use super::setting::Setting;

/// The near end of some stages.
pub struct Stages {
    crew: Crew,
    listener: UnixListener,
    address: Address,
    /// What all stages so far were given, to be removed when they have ended.
    directories: Vec<PathBuf>,
}

/// One stage, seen from the process that the user has started.
pub struct Stage {
    stream: UnixStream,
}

/// What a stage is told first.
#[derive(Debug, Serialize, Deserialize)]
struct Program {
    measure: Measure,
    transport: String,
    /// For the sockets of its trees; they make it, if need be.
    tree_directory: PathBuf,
    /// For what libraries put into directories for temporary files. It makes it.
    temporary: PathBuf,
}

/// What a stage answers, or else why it can't: then it is of no use any more.
type Answer<T> = Result<T, String>;

impl Stages {
    /// A place for stages, with a name that is in no directory: the system forgets it with this
    /// process, however that ends.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn new() -> Result<Stages, Failure> {
        let crew = Crew::new("")?;
        let name = crew.directory().to_string_lossy().into_owned();
        let listener = SocketAddr::from_abstract_name(&name)
            .and_then(|address| UnixListener::bind_addr(&address))
            .map_err(Failure::doing("listen"))?;
        Ok(Stages { crew, listener, address: Address(name), directories: Vec::new() })
    }

    /// Starts one, and has it begin with its processes: [`Stage::ready`] waits for them.
    ///
    /// # Errors
    ///
    /// When the system refuses, or a signal has asked for an end.
    pub fn open(
        &mut self,
        measure: Measure,
        spec: &TransportSpec,
        alarm: &Alarm,
    ) -> Result<Stage, Stop> {
        let failed = |text| Stop::Failed(Failure::Runtime(text));
        let children = self.crew.children();
        let pid = children.spawn_helper(HELPER.name, 0, &self.address).map_err(failed)?;
        let mut stage = Stage { stream: self.accept(alarm)? };
        let near = self.crew.directory().display();
        let tree_directory = PathBuf::from(format!("{near}-{pid}"));
        let temporary = PathBuf::from(format!("{near}-{pid}-more"));
        self.directories.extend([tree_directory.clone(), temporary.clone()]);
        let transport = spec.name.to_owned();
        let program = Program { measure, transport, tree_directory, temporary };
        stage.send(&program).map_err(Stop::Failed)?;
        Ok(stage)
    }

    /// Waits for somebody who has the crew's token: every user of the machine can connect.
    fn accept(&self, alarm: &Alarm) -> Result<UnixStream, Stop> {
        let cannot = Failure::doing("talk to a process");
        loop {
            alarm.wait_for(&self.listener)?;
            let accepted = self.listener.accept();
            let (mut stream, _) = accepted.map_err(|error| Stop::Failed(cannot(error)))?;
            alarm.wait_for(&stream)?;
            // It is as short as to come in one piece; a stranger's may not come at all.
            let mut token = [0; 16];
            if matches!(stream.read(&mut token), Ok(16)) && Token(token) == self.crew.token() {
                return Ok(stream);
            }
        }
    }

    /// Ends all stages with their processes, and returns when they have ended.
    pub fn dismiss(self) {
        self.crew.dismiss();
        self.directories.iter().for_each(|directory| remove_directory(directory));
    }
}

impl Stage {
    /// Waits until its processes are ready, and says how many turns there are in a round.
    ///
    /// # Errors
    ///
    /// When it can't be measured, or a signal has asked for an end.
    pub fn ready(&mut self, alarm: &Alarm) -> Result<usize, Stop> {
        self.receive(alarm)
    }

    /// Has it take a turn, and says what that has found.
    ///
    /// # Errors
    ///
    /// When it fails, or a signal has asked for an end.
    pub fn turn(&mut self, turn: usize, alarm: &Alarm) -> Result<Vec<Found>, Stop> {
        self.send(&turn).map_err(Stop::Failed)?;
        self.receive(alarm)
    }

    fn send(&mut self, message: &impl Serialize) -> Result<(), Failure> {
        send(&mut self.stream, message).map_err(gone)
    }

    fn receive<T: DeserializeOwned>(&mut self, alarm: &Alarm) -> Result<T, Stop> {
        alarm.wait_for(&self.stream)?;
        let answer = receive::<Answer<T>>(&mut self.stream).map_err(gone).map_err(Stop::Failed)?;
        answer.map_err(|text| Stop::Failed(Failure::Runtime(text)))
    }
}

fn gone(error: io::Error) -> Failure {
    if error.kind() == io::ErrorKind::UnexpectedEof || error.kind() == io::ErrorKind::BrokenPipe {
        return Failure::Runtime("the process that takes the measure is gone".to_owned());
    }
    Failure::doing("talk to a process")(error)
}

/// A stage.
pub const HELPER: Helper =
    Helper { name: "bench-stage", run: |_, near, heritage| serve(near, &heritage) };

/// Is a stage, until the benchmark is over.
///
/// # Errors
///
/// When nobody tells it what to do, or hears it.
fn serve(near: &Address, heritage: &Heritage) -> Result<(), Failure> {
    let lifeline = process::detach(heritage.lifeline).map_err(Failure::doing("detach"))?;
    let silent = Failure::doing("talk to the benchmark");
    let mut stream = SocketAddr::from_abstract_name(&near.0)
        .and_then(|address| UnixStream::connect_addr(&address))
        .map_err(&silent)?;
    stream.write_all(&heritage.secret.token().0).map_err(&silent)?;
    let program: Program = receive(&mut stream).map_err(&silent)?;
    let _lock = make_directory(&program.temporary)?;
    // SAFETY: this process has no other thread yet that could read the environment.
    unsafe { env::set_var("TMPDIR", &program.temporary) };
    let signals = TreeSignals::new(lifeline, program.temporary.clone())?;
    let done = perform(&program, &signals, &mut stream);
    remove_directory(&program.temporary);
    done
}

/// Takes turns, as long as anybody wants to know. This process ends when the lifeline breaks,
/// whatever it does, and so do all below it.
fn perform(
    program: &Program,
    signals: &TreeSignals,
    stream: &mut UnixStream,
) -> Result<(), Failure> {
    let commands = &Registry::linked().map_err(Failure::runtime)?;
    let spec = transports::find(&program.transport)?;
    let directory = program.tree_directory.clone();
    let setting = Setting { spec, commands, signals, directory };
    let mut rig = match program.measure.open(&setting) {
        Ok(rig) => rig,
        Err(failure) => {
            let why = Answer::<usize>::Err(failure.into_text());
            return send(stream, &why).map_err(Failure::doing("talk to the benchmark"));
        }
    };
    let mut told = send(stream, &Answer::Ok(rig.turns()));
    while told.is_ok()
        && let Ok(turn) = receive(stream)
    {
        told = send(stream, &rig.turn(turn).map_err(Failure::into_text));
    }
    Ok(())
}

/// Sends a message behind its length.
fn send(stream: &mut UnixStream, message: &impl Serialize) -> io::Result<()> {
    let mut bytes = vec![0; size_of::<u32>()];
    bytes = postcard::to_extend(message, bytes).map_err(io::Error::other)?;
    let (length, body) = bytes.split_at_mut(size_of::<u32>());
    length.copy_from_slice(&u32::try_from(body.len()).map_err(io::Error::other)?.to_ne_bytes());
    stream.write_all(&bytes)
}

/// Waits for a message. Both ends are the same program.
fn receive<T: DeserializeOwned>(stream: &mut UnixStream) -> io::Result<T> {
    let mut length = [0; size_of::<u32>()];
    stream.read_exact(&mut length)?;
    let mut bytes = vec![0; u32::from_ne_bytes(length) as usize];
    stream.read_exact(&mut bytes)?;
    postcard::from_bytes(&bytes).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::super::figure::{Figure, Subject, Unit};
    use super::*;

    #[test]
    fn what_is_sent_is_received() {
        let (mut near, mut far) = UnixStream::pair().unwrap();
        let found = vec![Figure::new("trip", Unit::Us).found(Subject::Raw, vec![1.5, 2.0])];
        send(&mut far, &Answer::Ok(found.clone())).unwrap();
        send(&mut far, &Answer::<Vec<Found>>::Err("lost".to_owned())).unwrap();
        assert_eq!(receive::<Answer<Vec<Found>>>(&mut near).unwrap(), Ok(found));
        assert_eq!(receive::<Answer<Vec<Found>>>(&mut near).unwrap(), Err("lost".to_owned()));
        drop(far);
        let error = receive::<usize>(&mut near).unwrap_err();
        assert!(matches!(gone(error), Failure::Runtime(text) if text.contains("gone")));
    }
}
