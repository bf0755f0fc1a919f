//! The transports, launchers and command modules of this build: the only place that names them.
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
#[cfg(feature = "run")]
use hoptree_run as _;
#[cfg(feature = "search")]
use hoptree_search as _;
#[cfg(feature = "ssh")]
use hoptree_ssh as _;
#[cfg(feature = "sum")]
use hoptree_sum as _;
#[cfg(feature = "template")]
use hoptree_template as _;
#[cfg(feature = "timer")]
use hoptree_timer as _;
#[cfg(feature = "wait-for")]
use hoptree_wait_for as _;
#[cfg(feature = "zeromq")]
use hoptree_zeromq as _;
#[cfg(feature = "zmq")]
use hoptree_zmq as _;

#[cfg(test)]
mod tests {
    use hoptree_host::Failure;
    use hoptree_host::transports;

    #[test]
    fn what_is_linked_fits_together() {
        let commands = hoptree_core::Registry::linked().unwrap();
        assert_eq!(commands.modules().any(|module| module.name == "echo"), cfg!(feature = "echo"));
        assert_eq!(transports::find("zmq").is_ok(), cfg!(feature = "zmq"));
    }

    #[test]
    fn an_unknown_transport_is_refused_with_the_list() {
        let Err(Failure::Usage(text)) = transports::find("pigeon") else { panic!("not refused") };
        assert_eq!(text.contains("'pigeon': choose one of"), cfg!(feature = "zmq"), "{text}");
    }

    #[test]
    #[cfg(feature = "zeromq")]
    fn a_flaw_is_for_those_who_insist() {
        let Err(Failure::Usage(text)) = transports::choose("zeromq:tcp", false) else {
            panic!("not refused")
        };
        assert!(text.contains("enormous length") && text.ends_with("--insecure"), "{text}");
        assert!(text.contains("choose one of zeromq,"), "{text}");
        assert!(
            transports::choose("zeromq:tcp", true).is_ok()
                && transports::choose("zeromq", false).is_ok()
        );
    }

    #[test]
    #[cfg(feature = "zmq")]
    fn only_for_those_who_insist_a_transport_is_not_sealed() {
        assert_eq!(
            transports::listens(transports::choose("zmq", false).unwrap()),
            hoptree_seal::Listens::Sealed
        );
        assert!(transports::choose("zmq@open", false).is_err());
        let open = transports::choose("zmq@open", true).unwrap();
        assert_eq!(
            (transports::listens(open), open.name),
            (hoptree_seal::Listens::Open, "zmq@open")
        );
        assert!(transports::find("zmq:ipc@open").is_err(), "it is not sealed anyway");
        assert_eq!(transports::can_be_mixed("zmq@open", "zmq"), Ok(()));
    }

    #[test]
    #[cfg(feature = "zmq")]
    fn a_mistyped_transport_is_recognized() {
        let Err(Failure::Usage(text)) = transports::find("zqm") else { panic!("not refused") };
        assert_eq!(text, "there is no transport 'zqm': did you mean 'zmq'?");
    }
}
