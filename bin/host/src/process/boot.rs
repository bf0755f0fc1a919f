//! What a new process is told by its parent, through its standard input.

#[cfg(any(test, feature = "fuzzing"))]
mod fuzzing;

use std::fmt;
use std::fs::File;
use std::os::fd::{BorrowedFd, RawFd};
use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;
use std::time::Duration;

use hoptree_core::{Address, Birth, Host, KEY_BYTES, Opening, Secret};
use hoptree_system::{hide, original_limit};
use hoptree_tcp::Listen;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::directory::unused_directory;
use super::lifeline::Lifeline;
use crate::failure::Failure;
use crate::logging::LogConfig;

#[cfg(feature = "fuzzing")]
pub use fuzzing::{example_boot, read_boot};

/// The longest boot message. A pipe takes at least this much, so that a parent that writes it into
/// a fresh one never waits for the child.
pub const BOOT_BYTES_MAX: usize = 4096;

/// What a process is told when it starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    /// The program's version, which must be the child's own.
    version: String,
    /// What the process runs as.
    pub role: Role,
    /// Where its parent listens.
    pub parent: Address,
    /// What the whole tree has in common.
    pub heritage: Heritage,
}

/// What a process is started as.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// A compute node.
    Node(Birth),
    /// A helper of this name, for whatever the program that is above this package needs it.
    Helper {
        /// Which one.
        name: String,
        /// What it is told beside where its parent listens.
        argument: u32,
    },
    /// What stands in for a node on another machine, as a child of the node's parent.
    StandIn(Birth, Host),
    /// What holds the connection to another machine, as a child of a stand-in.
    Tether(Birth, Host),
    /// A compute node on another machine than its parent's, which must have joined within this time.
    Remote {
        /// What it learns of its place.
        birth: Birth,
        /// From its start on.
        join_within: Duration,
    },
}

/// What people see who look at `ps`.
impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Role::Node(birth) | Role::Remote { birth, .. } => write!(f, "{}", birth.life.node),
            Role::StandIn(birth, host) => write!(f, "{}@{}", birth.life.node, host.name),
            Role::Tether(birth, host) => write!(f, "{TETHER}{}@{}", birth.life.node, host.name),
            Role::Helper { name, .. } => f.write_str(name),
        }
    }
}

/// How the name of a process begins that holds a connection to another machine.
pub(super) const TETHER: &str = "tether:";

/// What each process hands on to its children unchanged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heritage {
    /// The name of the tree's transport.
    pub transport: String,
    /// Whether the user has insisted on transports that have a flaw.
    pub insecure: bool,
    /// Where a process listens for other machines, if the tree may leave this one.
    pub beyond: Option<Beyond>,
    /// What proves that a peer belongs to the tree.
    #[serde(with = "hidden")]
    pub secret: Secret,
    /// The number of the lifeline's read end, the same in every process.
    pub lifeline: RawFd,
    /// The tree's place for sockets in the file system; see [`super::make_directory`].
    pub directory: PathBuf,
    /// The deadline of a request.
    pub timeout: Duration,
    /// Where logs go.
    pub logs: LogConfig,
    /// How many files a program may have open that is not hoptree; nothing when that is unlimited.
    pub descriptors: Option<u64>,
}

/// Where a process listens for others on other machines, as the user says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beyond {
    /// As [`Listen::from_text`] reads it.
    pub listen: String,
    /// What others are told in place of that.
    pub advertised: Option<String>,
}

impl Beyond {
    /// Where a process on another machine listens: at an address that its parent can reach, and at the same
    /// ports.
    #[must_use]
    pub fn elsewhere(&self) -> Beyond {
        let listen = match Listen::ports_of(&self.listen) {
            Some(ports) => format!("auto:{ports}"),
            None => "auto".to_owned(),
        };
        Beyond { listen, advertised: None }
    }
}

impl Heritage {
    /// What a new tree has in common, and its lifeline. This process becomes the tree's first, which
    /// takes in the orphans of the others.
    ///
    /// # Errors
    ///
    /// When the system refuses what such a process needs.
    pub fn found(
        transport: &str,
        insecure: bool,
        beyond: Option<Beyond>,
        timeout: Duration,
        logs: LogConfig,
    ) -> Result<(Heritage, Lifeline), Failure> {
        let lifeline = begin()?;
        let heritage = Heritage {
            transport: transport.to_owned(),
            insecure,
            beyond,
            secret: random_secret()?,
            lifeline: lifeline.number(),
            directory: unused_directory()?,
            timeout,
            logs,
            descriptors: original_limit().and_then(|limit| limit.current),
        };
        Ok((heritage, lifeline))
    }

    /// The same on another machine, with what is that machine's own made anew. This process becomes the
    /// tree's first there.
    ///
    /// # Errors
    ///
    /// As [`Heritage::found`].
    pub fn settle(self) -> Result<(Heritage, Lifeline), Failure> {
        let lifeline = begin()?;
        let heritage = Heritage {
            beyond: self.beyond.as_ref().map(Beyond::elsewhere),
            lifeline: lifeline.number(),
            directory: unused_directory()?,
            descriptors: original_limit().and_then(|limit| limit.current),
            ..self
        };
        Ok((heritage, lifeline))
    }

    /// What the tree's transport is opened with.
    pub fn opening(&self) -> Opening<'_> {
        Opening { directory: &self.directory, secret: self.secret }
    }
}

/// Takes in orphans from now on, and holds a lifeline for those to come.
fn begin() -> Result<Lifeline, Failure> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .map_err(Failure::doing("become a subreaper"))?;
    Lifeline::new().map_err(Failure::refused("make a pipe"))
}

/// A secret that nobody has had.
///
/// # Errors
///
/// When the system refuses random numbers, or memory for it.
pub fn random_secret() -> Result<Secret, Failure> {
    let mut random = Zeroizing::new([0; KEY_BYTES]);
    getrandom::fill(&mut *random).map_err(Failure::doing("make a random secret"))?;
    hide(&random).map(Secret::new).map_err(Failure::refused("keep a secret"))
}

/// The secret in a boot message. Who is told it hides it at once.
mod hidden {
    use serde::de::{Deserializer, Error};
    use serde::ser::Serializer;

    use super::{Deserialize, KEY_BYTES, Secret, Serialize, Zeroizing, hide};

    pub fn serialize<S: Serializer>(secret: &Secret, to: S) -> Result<S::Ok, S::Error> {
        secret.bytes().serialize(to)
    }

    pub fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Secret, D::Error> {
        let bytes = Zeroizing::new(<[u8; KEY_BYTES]>::deserialize(from)?);
        if cfg!(fuzzing) {
            // What is hidden stays for ever, and a fuzzer reads millions of messages.
            return Ok(Secret::new(&[0; KEY_BYTES]));
        }
        hide(&bytes).map(Secret::new).map_err(D::Error::custom)
    }
}

impl Boot {
    /// The boot message of a child whose parent listens at `parent`.
    pub fn new(role: Role, parent: Address, heritage: Heritage) -> Boot {
        Boot { version: env!("CARGO_PKG_VERSION").to_owned(), role, parent, heritage }
    }

    /// The message as bytes.
    ///
    /// # Errors
    ///
    /// When it is longer than `BOOT_BYTES_MAX`; the bounds of what is in it forbid that.
    pub fn encode(&self) -> Result<Zeroizing<Vec<u8>>, String> {
        let mut bytes = Zeroizing::new(vec![0; BOOT_BYTES_MAX]);
        let length = match postcard::to_slice(self, &mut bytes) {
            Ok(encoded) => encoded.len(),
            Err(postcard::Error::SerializeBufferFull) => {
                return Err("the boot message is too long".to_owned());
            }
            Err(error) => return Err(format!("can't encode the boot message: {error}")),
        };
        bytes.truncate(length);
        Ok(bytes)
    }

    /// The message that these bytes stand for.
    ///
    /// # Errors
    ///
    /// Says why they stand for none of this version.
    pub fn decode(bytes: &[u8]) -> Result<Boot, String> {
        const VERSION: &str = env!("CARGO_PKG_VERSION");
        if bytes.is_empty() {
            return Err("it is empty".to_owned());
        }
        let (boot, rest) = postcard::take_from_bytes::<Boot>(bytes)
            .map_err(|_| "it is cut short, or can't be decoded".to_owned())?;
        if !rest.is_empty() {
            return Err("there is more behind it".to_owned());
        }
        if boot.version != VERSION {
            return Err(format!("it is of version {}, not {VERSION}", boot.version));
        }
        Ok(boot)
    }

    /// Reads the message from standard input up to its end. Blocks until the parent has written it,
    /// which it does right after the start; `None` when the parent ended instead.
    ///
    /// # Errors
    ///
    /// When standard input holds something else: a person has started this process.
    pub fn receive() -> Result<Option<Boot>, String> {
        if rustix::termios::isatty(rustix::stdio::stdin()) {
            return Err(refusal("it is a terminal"));
        }
        let mut bytes = Zeroizing::new([0; BOOT_BYTES_MAX + 1]);
        let mut length = 0;
        while length < bytes.len() {
            match rustix::io::read(rustix::stdio::stdin(), &mut bytes[length..]) {
                Ok(0) => break,
                Ok(more) => length += more,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(format!("can't read the bootstrap: {error}")),
            }
        }
        if length == 0 && is_pipe(rustix::stdio::stdin()) {
            return Ok(None);
        }
        Boot::decode(&bytes[..length]).map(Some).map_err(|why| refusal(&why))
    }
}

/// What a person is told who has started a node.
fn refusal(why: &str) -> String {
    format!(
        "standard input holds no valid bootstrap ({why}): 'hoptree node' is how hoptree itself \
         starts its nodes. To make one, type 'create ID' at its console. To run a script of this \
         name, write 'hoptree ./node'"
    )
}

/// Whether a file is a pipe.
pub fn is_pipe(file: BorrowedFd<'_>) -> bool {
    let file = file.try_clone_to_owned().map(File::from);
    file.and_then(|file| file.metadata()).is_ok_and(|metadata| metadata.file_type().is_fifo())
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use hoptree_core::{Ancestor, Incarnation, Machine, NodeId};

    use super::fuzzing::example;
    use super::*;
    use crate::logging::DIR_BYTES_MAX;
    use crate::process::directory::PLACE_BYTES_MAX;

    #[test]
    fn a_boot_message_survives_its_journey() {
        assert_eq!(Boot::decode(&example().encode().unwrap()), Ok(example()));
    }

    #[test]
    fn what_is_no_boot_message_is_refused() {
        let bytes = example().encode().unwrap();
        let why = |bytes: &[u8]| Boot::decode(bytes).unwrap_err();
        assert_eq!(why(&[]), "it is empty");
        for bytes in [&b"create 1\ncreate 2 1\n"[..], &bytes[..bytes.len() - 1]] {
            assert_eq!(why(bytes), "it is cut short, or can't be decoded");
        }
        assert_eq!(why(&[&bytes[..], &[0]].concat()), "there is more behind it");
    }

    #[test]
    fn an_empty_pipe_is_that_of_a_parent_and_an_empty_file_is_not() {
        let (read, _) = rustix::pipe::pipe().unwrap();
        assert!(is_pipe(read.as_fd()));
        assert!(!is_pipe(File::open("/dev/null").unwrap().as_fd()));
    }

    #[test]
    fn another_version_is_refused() {
        let boot = Boot { version: "0.0.0".to_owned(), ..example() };
        let why = Boot::decode(&boot.encode().unwrap()).unwrap_err();
        assert!(why.starts_with("it is of version 0.0.0, "), "{why}");
    }

    #[test]
    fn the_longest_message_that_there_can_be_is_sent() {
        let nonce = "f".repeat(32);
        let tcp = format!("tcp://127.0.0.1:65535/{nonce}#{nonce}");
        let socket = format!("ipc:///{}", "x".repeat(106));
        let place = PLACE_BYTES_MAX + "/hoptree-0123456789abcdef".len();
        for (address, directory) in [(tcp, place), (socket, 90)] {
            let address = Address(address);
            let ancestor = Ancestor {
                node: NodeId::compute(0x7fff_ffff).unwrap(),
                address: address.clone(),
                machine: Machine(u64::MAX),
            };
            let mut boot = Boot { parent: address, ..example() };
            let Role::Node(birth) = &mut boot.role else { panic!("{:?}", boot.role) };
            birth.life.incarnation = Incarnation(u32::MAX);
            birth.ancestors = vec![ancestor; 9];
            boot.heritage.timeout = Duration::from_millis(86_400_000);
            boot.heritage.directory = "x".repeat(directory).into();
            let dir = Some("x".repeat(DIR_BYTES_MAX).into());
            boot.heritage.logs = LogConfig { verbosity: 9, dir, file_bytes_max: u64::MAX };
            boot.heritage.descriptors = Some(u64::MAX);
            boot.encode().unwrap();
            let Role::Node(birth) = boot.role else { panic!("{:?}", boot.role) };
            boot.role = Role::Remote { birth, join_within: Duration::from_millis(86_400_000) };
            boot.encode().unwrap();
        }
    }

    #[test]
    fn a_message_that_could_fill_the_pipe_is_not_sent() {
        let mut boot = example();
        boot.heritage.logs.dir = Some("x".repeat(BOOT_BYTES_MAX).into());
        assert!(boot.encode().unwrap_err().contains("too long"));
    }
}
