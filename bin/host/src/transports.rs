//! The transports of this build: which there are, which a user may have, and how one is opened.

use std::sync::OnceLock;

use hoptree_core::{Address, Opening, Reach, Transport, TransportError, TransportSpec, nearest};
use hoptree_seal::{Listens, Sealed};
use hoptree_system::explain;
use hoptree_tcp::{Listen, Tcp};

use crate::failure::Failure;
use crate::gateway::{Gateway, Home, Opened};
use crate::process::{DirectoryLock, Heritage, make_directory};

/// What stands behind the name of a transport in place of the seal, to measure what that costs.
const OPEN: &str = "@open";

/// The transport called `name`.
///
/// # Errors
///
/// When none is called so, or two are; the text lists those that are linked.
pub fn find(name: &str) -> Result<&'static TransportSpec, Failure> {
    let linked = hoptree_core::linked_transports().map_err(Failure::runtime)?;
    let linked_as = linked.iter().copied().find(|spec| spec.name == name);
    let known = linked_as.or_else(|| without_seal().iter().find(|spec| spec.name == name));
    if let Some(spec) = known {
        return Ok(spec);
    }
    let names: Vec<_> = linked.iter().map(|spec| spec.name).collect();
    Err(Failure::Usage(match nearest(name, names.iter().copied()) {
        _ if names.is_empty() => {
            "no transport is linked into this build: build it with --features zmq".to_owned()
        }
        Some(known) => format!("there is no transport '{name}': did you mean '{known}'?"),
        None => format!("there is no transport '{name}': choose one of {}", names.join(", ")),
    }))
}

/// The transport called `name`, for a user who may have insisted on one that has a flaw.
///
/// # Errors
///
/// As [`find`], and when it has a flaw and the user has not; the text says what is safe.
pub fn choose(name: &str, insecure: bool) -> Result<&'static TransportSpec, Failure> {
    let spec = find(name)?;
    let Some(flaw) = spec.flaw.filter(|_| !insecure) else { return Ok(spec) };
    let linked = hoptree_core::linked_transports().map_err(Failure::runtime)?;
    let safe = linked.iter().filter(|other| other.speaks == spec.speaks && other.flaw.is_none());
    let safe: Vec<_> = safe.map(|other| other.name).collect();
    Err(Failure::Usage(format!(
        "the transport '{name}' has a flaw: {flaw}; choose one of {}, or insist with the option \
         --insecure",
        safe.join(", ")
    )))
}

/// The linked transports that are sealed, once more without the seal.
fn without_seal() -> &'static [TransportSpec] {
    static SPECS: OnceLock<Vec<TransportSpec>> = OnceLock::new();
    SPECS.get_or_init(|| {
        let linked = hoptree_core::linked_transports().unwrap_or_default().into_iter();
        let sealed = linked.filter(|spec| listens(spec) == Listens::Sealed);
        sealed
            .map(|spec| TransportSpec {
                name: format!("{}{OPEN}", spec.name).leak(),
                flaw: spec.flaw.or(Some("its links are not sealed")),
                ..*spec
            })
            .collect()
    })
}

/// Opens a transport for this process, and has its links sealed where anybody but this user could
/// connect. The tree's directory is made before, if there will be sockets in it; hold the
/// lock on it for as long as the transport is used.
///
/// # Errors
///
/// When the directory can't be used, or the system refuses what the transport needs.
pub fn open(
    spec: &TransportSpec,
    opening: Opening<'_>,
) -> Result<(Box<dyn Transport>, Option<DirectoryLock>), Failure> {
    let (transport, lock) = open_without_seal(spec, opening)?;
    let linked = hoptree_core::linked_transports().map_err(Failure::runtime)?;
    // A node may connect to one that is on another transport than its own.
    let mut mixable = linked.iter().filter(|other| other.speaks == spec.speaks);
    if mixable.all(|other| listens(other) == Listens::Open) {
        return Ok((transport, lock));
    }
    Ok((Box::new(Sealed::new(transport, opening.secret, listens(spec))), lock))
}

/// Opens a transport as [`open`] does, for a process of a tree that may leave this machine: with another one
/// beside it, once there are links to other machines. By default it listens where this machine would reach the
/// first of those `above` whom other machines can reach.
///
/// # Errors
///
/// As [`open`].
pub fn open_for(
    spec: &TransportSpec,
    heritage: &Heritage,
    above: &[&Address],
) -> Result<(Box<dyn Transport>, Option<DirectoryLock>), Failure> {
    let (near, lock) = open(spec, heritage.opening())?;
    let Some(beyond) = heritage.beyond.clone() else { return Ok((near, lock)) };
    let secret = heritage.secret;
    let peer = above.iter().find_map(|address| hoptree_tcp::host_of(address));
    let open_far = move || {
        let listen = Listen::from_text(&beyond.listen, beyond.advertised.as_deref(), peer);
        let tcp = Tcp::open(listen.map_err(TransportError)?)?;
        let readable = tcp.descriptor().try_clone_to_owned();
        let readable = readable.map_err(|error| TransportError(explain(&error)))?;
        let transport = Box::new(Sealed::new(Box::new(tcp), secret, Listens::Sealed));
        Ok(Opened { transport, readable })
    };
    Ok((Box::new(Gateway::new(near, Home::of(&heritage.directory), Box::new(open_far))), lock))
}

/// How a process on this transport takes in those who connect to it.
pub fn listens(spec: &TransportSpec) -> Listens {
    match spec.reach {
        Reach::ThisMachine if !spec.name.ends_with(OPEN) => Listens::Sealed,
        Reach::ThisMachine | Reach::ThisUser => Listens::Open,
    }
}

/// Opens a transport as [`open`] does, but with nothing above it.
///
/// # Errors
///
/// As [`open`].
pub fn open_without_seal(
    spec: &TransportSpec,
    opening: Opening<'_>,
) -> Result<(Box<dyn Transport>, Option<DirectoryLock>), Failure> {
    let lock = spec.has_socket_files.then(|| make_directory(opening.directory)).transpose()?;
    let transport = (spec.open)(opening).map_err(Failure::doing("open the transport"))?;
    Ok((transport, lock))
}

/// Whether a node on the transport `child` can join one on the transport `parent`.
///
/// # Errors
///
/// Says to the user why not.
pub fn can_be_mixed(parent: &str, child: &str) -> Result<(), String> {
    let speaks = |name| find(name).map(|spec| spec.speaks).map_err(Failure::into_text);
    let (parents, childs) = (speaks(parent)?, speaks(child)?);
    if parents == childs {
        return Ok(());
    }
    Err(format!(
        "a node on the transport '{child}' can't join one on '{parent}': they speak {childs} and \
         {parents}"
    ))
}
