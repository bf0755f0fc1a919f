//! The transports and command modules of this build: the only place that names them.
//!
//! A crate that no code names is not linked, and what it registers is then silently missing.

#[cfg(feature = "dictionary")]
use hoptree_dictionary as _;
#[cfg(feature = "echo")]
use hoptree_echo as _;
#[cfg(feature = "heartbeat")]
use hoptree_heartbeat as _;
#[cfg(feature = "info")]
use hoptree_info as _;
#[cfg(feature = "ipc")]
use hoptree_ipc as _;
#[cfg(feature = "pingall")]
use hoptree_pingall as _;
#[cfg(feature = "search")]
use hoptree_search as _;
#[cfg(feature = "sum")]
use hoptree_sum as _;
#[cfg(feature = "timer")]
use hoptree_timer as _;
#[cfg(feature = "wait-for")]
use hoptree_wait_for as _;
#[cfg(feature = "zeromq")]
use hoptree_zeromq as _;
#[cfg(feature = "zmq")]
use hoptree_zmq as _;

use std::sync::OnceLock;

use hoptree_core::{Opening, Reach, Transport, TransportSpec, nearest};
use hoptree_seal::{Listens, Sealed};

use crate::failure::Failure;
use crate::process::{DirectoryLock, make_directory};

/// What stands behind the name of a transport in place of the seal, to measure what that costs.
const OPEN: &str = "@open";

/// The transport called `name`.
///
/// # Errors
///
/// When none is called so, or two are; the text lists those that are linked.
pub fn transport(name: &str) -> Result<&'static TransportSpec, Failure> {
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
/// As [`transport`], and when it has a flaw and the user has not; the text says what is safe.
pub fn choose(name: &str, insecure: bool) -> Result<&'static TransportSpec, Failure> {
    let spec = transport(name)?;
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
    let speaks = |name| transport(name).map(|spec| spec.speaks).map_err(Failure::into_text);
    let (parents, childs) = (speaks(parent)?, speaks(child)?);
    if parents == childs {
        return Ok(());
    }
    Err(format!(
        "a node on the transport '{child}' can't join one on '{parent}': they speak {childs} and \
         {parents}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_linked_fits_together() {
        let commands = hoptree_core::Registry::linked().unwrap();
        assert_eq!(commands.modules().any(|module| module.name == "echo"), cfg!(feature = "echo"));
        assert_eq!(transport("zmq").is_ok(), cfg!(feature = "zmq"));
    }

    #[test]
    fn an_unknown_transport_is_refused_with_the_list() {
        let Err(Failure::Usage(text)) = transport("pigeon") else { panic!("not refused") };
        assert_eq!(text.contains("'pigeon': choose one of"), cfg!(feature = "zmq"), "{text}");
    }

    #[test]
    #[cfg(feature = "zeromq")]
    fn a_flaw_is_for_those_who_insist() {
        let Err(Failure::Usage(text)) = choose("zeromq:tcp", false) else { panic!("not refused") };
        assert!(text.contains("enormous length") && text.ends_with("--insecure"), "{text}");
        assert!(text.contains("choose one of zeromq,"), "{text}");
        assert!(choose("zeromq:tcp", true).is_ok() && choose("zeromq", false).is_ok());
    }

    #[test]
    #[cfg(feature = "zmq")]
    fn only_for_those_who_insist_a_transport_is_not_sealed() {
        assert_eq!(listens(choose("zmq", false).unwrap()), Listens::Sealed);
        assert!(choose("zmq@open", false).is_err());
        let open = choose("zmq@open", true).unwrap();
        assert_eq!((listens(open), open.name), (Listens::Open, "zmq@open"));
        assert!(transport("zmq:ipc@open").is_err(), "it is not sealed anyway");
        assert_eq!(can_be_mixed("zmq@open", "zmq"), Ok(()));
    }

    #[test]
    #[cfg(feature = "zmq")]
    fn a_mistyped_transport_is_recognized() {
        let Err(Failure::Usage(text)) = transport("zqm") else { panic!("not refused") };
        assert_eq!(text, "there is no transport 'zqm': did you mean 'zmq'?");
    }
}
