//! A process in which one measure is taken over one transport.
//!
//! It is the control node of what is measured, with the threads, the memory and the open files of a
//! console and of nobody else. So transports can take turns without being in each other's way, and
//! what goes wrong with one of them is the end of nothing but its stage.

use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use hoptree_core::{Address, Registry, TransportSpec};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::alarm::{Alarm, Stop, TreeSignals};
use super::crew::Crew;
use super::figure::Found;
use super::measure::Measure;
use super::setting::Setting;
use crate::failure::Failure;
use crate::plugins;
use crate::process::{self, Heritage, Role, make_directory};

/// The place in the crew's directory where stages connect to.
const SOCKET: &str = "stages";

/// The near end of some stages.
pub struct Stages {
    crew: Crew,
    listener: UnixListener,
    address: Address,
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
    /// For this stage alone; its parent is there.
    directory: PathBuf,
}

/// What a stage answers, or else why it can't: then it is of no use any more.
type Answer<T> = Result<T, String>;

impl Stages {
    /// A place for stages.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn new() -> Result<Stages, Failure> {
        let crew = Crew::new("")?;
        make_directory(crew.directory())?;
        let path = crew.directory().join(SOCKET);
        let listener = UnixListener::bind(&path).map_err(Failure::doing("listen"))?;
        Ok(Stages { crew, listener, address: Address(path.to_string_lossy().into_owned()) })
    }

    /// Starts one, and has it begin with its processes: [`Stage::ready`] waits for them.
    ///
    /// # Errors
    ///
    /// When the system refuses, or a signal has asked for an end.
    pub fn open(
        &self,
        measure: Measure,
        spec: &TransportSpec,
        alarm: &Alarm,
    ) -> Result<Stage, Stop> {
        let failed = |text| Stop::Failed(Failure::Runtime(text));
        let children = self.crew.children();
        let pid = children.spawn_helper(Role::Stage, &self.address).map_err(failed)?;
        alarm.wait_for(&self.listener)?;
        let cannot = Failure::doing("talk to a process");
        let (stream, _) = self.listener.accept().map_err(|error| Stop::Failed(cannot(error)))?;
        let mut stage = Stage { stream };
        let directory = self.crew.directory().join(pid.to_string());
        let transport = spec.name.to_owned();
        stage.send(&Program { measure, transport, directory }).map_err(Stop::Failed)?;
        Ok(stage)
    }

    /// Ends all stages with their processes, and returns when they have ended.
    pub fn dismiss(self) {
        self.crew.dismiss();
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

/// Is a stage, until the benchmark is over.
///
/// # Errors
///
/// When nobody tells it what to do, or hears it.
pub fn serve(near: &Address, heritage: &Heritage) -> Result<(), Failure> {
    let lifeline = process::detach(heritage.lifeline).map_err(Failure::doing("detach"))?;
    let signals = TreeSignals::new(lifeline, heritage)?;
    let silent = Failure::doing("talk to the benchmark");
    let mut stream = UnixStream::connect(Path::new(&near.0)).map_err(&silent)?;
    let program: Program = receive(&mut stream).map_err(&silent)?;
    let commands = Registry::linked().map_err(Failure::runtime)?;
    let spec = plugins::transport(&program.transport)?;
    let setting =
        Setting { spec, commands: &commands, signals: &signals, directory: program.directory };
    // This process ends when the lifeline breaks, whatever it does, and so do all below it.
    let mut rig = match program.measure.open(&setting) {
        Ok(rig) => rig,
        Err(failure) => {
            return send(&mut stream, &Answer::<usize>::Err(failure.into_text())).map_err(&silent);
        }
    };
    send(&mut stream, &Answer::Ok(rig.turns())).map_err(&silent)?;
    while let Ok(turn) = receive(&mut stream) {
        let found = rig.turn(turn).map_err(Failure::into_text);
        send(&mut stream, &found).map_err(&silent)?;
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
