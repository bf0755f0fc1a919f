//! Boot messages for a fuzzer, and for tests.

use std::time::Duration;

use hoptree_core::{
    Address, Ancestor, Birth, Incarnation, KEY_BYTES, Life, Machine, NodeId, Secret, Seed,
};

use super::{Beyond, Boot, Heritage, Role};
use crate::logging::LogConfig;

/// A message that has all that there can be in one.
pub(super) fn example() -> Boot {
    let life = Life { node: NodeId::compute(7).expect("it is small"), incarnation: Incarnation(3) };
    let heritage = Heritage {
        transport: "zmq".to_owned(),
        insecure: true,
        beyond: Some(Beyond {
            listen: "[fd77::1]:6200-6210".to_owned(),
            advertised: Some("10.0.0.1:6200".to_owned()),
        }),
        secret: Secret::new(&[9; KEY_BYTES]),
        lifeline: 5,
        directory: "/tmp/hoptree-0".into(),
        timeout: Duration::from_secs(5),
        logs: LogConfig { verbosity: 2, dir: Some("/tmp/logs".into()), file_bytes_max: 1 << 20 },
        descriptors: Some(1024),
    };
    let address = Address("tcp://127.0.0.1:5555".to_owned());
    let ancestors = vec![Ancestor {
        node: NodeId::CONTROL,
        address: address.clone(),
        machine: Machine(u64::MAX),
    }];
    let seed = Seed::of(heritage.secret, life);
    let (parent, machine) = (NodeId::compute(6).expect("it is small"), Machine(u64::MAX));
    let birth = Birth { life, seed, parent, machine, ancestors };
    Boot::new(Role::Node(birth), address, heritage)
}

/// Reads a boot message as a process does that starts, and says whether it is one.
///
/// # Panics
///
/// When it would become another one once it has been written again.
#[cfg(feature = "fuzzing")]
pub fn read_boot(bytes: &[u8]) -> bool {
    let Ok(boot) = Boot::decode(bytes) else { return false };
    // One with longer numbers than it needs may be too long to be written.
    if let Ok(again) = boot.encode() {
        assert!(Boot::decode(&again).is_ok_and(|again| again == boot), "{boot:?}");
    }
    true
}

/// A boot message without the version that it begins with, for a fuzzer to begin with.
///
/// # Panics
///
/// Never: the example is short.
#[cfg(feature = "fuzzing")]
#[must_use]
pub fn example_boot() -> Vec<u8> {
    let boot = example();
    let message = boot.encode().expect("it is short");
    message[1 + boot.version.len()..].to_vec()
}
