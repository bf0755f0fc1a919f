//! A compute node: what a node starts for each of its children.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use hoptree_core::{Address, Birth, LEFT_BEHIND_STATUS, Registry, Time, Worker, WorkerConfig};
use hoptree_system::inherit_original_limit;

use crate::driver::{Driver, Patience};
use crate::failure::Failure;
use crate::process::{Boot, ChildProcesses, Heritage, Role};
use crate::signals::Signals;
use crate::{logging, process, remote, transports};

/// A process of the program that is no compute node.
#[derive(Clone, Copy, Debug)]
pub struct Helper {
    /// What it is called, which people see who look at `ps`.
    pub name: &'static str,
    /// What it does, given its argument, where its parent listens, and what the tree has in common.
    pub run: fn(u32, &Address, Heritage) -> Result<(), Failure>,
}

/// Runs a compute node, or one of these helpers, until the tree or its place in it has ended.
#[must_use]
pub fn main(helpers: &[Helper]) -> ExitCode {
    let Boot { role, parent, heritage, .. } = match Boot::receive() {
        Ok(Some(boot)) => boot,
        // There is nobody left to tell.
        Ok(None) => return ExitCode::FAILURE,
        Err(text) => return Failure::Usage(text).report(),
    };
    inherit_original_limit(heritage.descriptors);
    let done = match role {
        Role::Node(birth) => run(birth, &parent, heritage, None),
        Role::Remote { birth, join_within } => run(birth, &parent, heritage, Some(join_within)),
        Role::StandIn(birth, host) => remote::stand_in(birth, host, &parent, heritage),
        Role::Tether(birth, host) => remote::tether(birth, &host, &parent, heritage),
        Role::Helper { name, argument } => help(helpers, &name, argument, &parent, heritage),
    };
    logging::finish();
    match done {
        Ok(status) => status,
        // The parent tells it, or logs it.
        Err(failure) if process::say_farewell(failure.text()) => ExitCode::FAILURE,
        Err(failure) => failure.report(),
    }
}

fn help(
    helpers: &[Helper],
    name: &str,
    argument: u32,
    parent: &Address,
    heritage: Heritage,
) -> Result<ExitCode, Failure> {
    let Some(helper) = helpers.iter().find(|helper| helper.name == name) else {
        return Err(Failure::Usage(format!("this build has no '{name}'")));
    };
    (helper.run)(argument, parent, heritage).map(|()| ExitCode::SUCCESS)
}

/// Runs a node. One that must join within a time is on another machine than its parent, where a connect may
/// take for ever.
fn run(
    birth: Birth,
    parent: &Address,
    heritage: Heritage,
    join_within: Option<Duration>,
) -> Result<ExitCode, Failure> {
    let join_by = join_within.map(|within| Instant::now() + within);
    let lifeline =
        process::detach(heritage.lifeline).map_err(Failure::refused("detach from the parent"))?;
    logging::start_compute_node(&heritage.logs, birth.life);
    let commands = Registry::linked().map_err(Failure::runtime)?;
    let spec = transports::find(&heritage.transport)?;
    let above: Vec<_> =
        std::iter::once(parent).chain(birth.ancestors.iter().map(|above| &above.address)).collect();
    let (mut transport, _lock) = transports::open_for(spec, &heritage, &above)?;
    let parent_address = parent.clone();
    let parent = transport.connect(parent);
    let signals = Signals::of_compute_node(lifeline, heritage.directory.clone(), transport.waker())
        .map_err(Failure::refused("handle signals"))?;
    let worker = Worker::new(
        Time::ZERO,
        WorkerConfig {
            birth,
            token: heritage.secret.token(),
            process: process::this_process(),
            parent,
            parent_address: parent_address.clone(),
            transport: spec.name,
            timeout: heritage.timeout,
            commands,
        },
    );
    let mut driver = Driver::new(worker, transport, ChildProcesses::new(heritage), signals);
    drive(&mut driver, join_by)?;
    if !driver.node().has_joined() {
        let why = driver.refusal().unwrap_or_else(|| "nobody has answered".to_owned());
        return Err(match join_by {
            None => Failure::doing("join the tree")(why),
            Some(_) => {
                Failure::doing("reach its parent")(format!("{}: {why}", shown(&parent_address)))
            }
        });
    }
    let left = driver.node().left().map(str::to_owned);
    driver.finish();
    Ok(match left {
        None => ExitCode::SUCCESS,
        Some(left) => {
            process::say_farewell(&left);
            ExitCode::from(LEFT_BEHIND_STATUS)
        }
    })
}

/// Runs a node to its end, or until it must have joined and has not.
fn drive(driver: &mut Driver<Worker>, join_by: Option<Instant>) -> Result<(), Failure> {
    while !driver.is_done() {
        let join_by = join_by.filter(|_| !driver.node().has_joined());
        if join_by.is_some_and(|by| by <= Instant::now()) {
            return Ok(());
        }
        let patience = join_by.map_or(Patience::Wait, Patience::Until);
        driver.wait(patience).map_err(Failure::doing("go on"))?;
        driver.end_turn();
    }
    Ok(())
}

/// What a person can make use of in an address: a host and a port, if it has them.
fn shown(address: &Address) -> &str {
    let first = address.0.split(' ').next().unwrap_or_default();
    match first.split_once("://") {
        Some(("tcp" | "net", rest)) => rest.split(['/', '#']).next().unwrap_or_default(),
        _ => first,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_as_host_and_port() {
        for (address, text) in [
            ("tcp://127.0.0.1:5555/abc#def", "127.0.0.1:5555"),
            ("net://[fd77::1]:6200#abc 0123456789abcdef ipc:///tmp/x", "[fd77::1]:6200"),
            ("ipc:///tmp/hoptree-0/1", "ipc:///tmp/hoptree-0/1"),
        ] {
            assert_eq!(shown(&Address(address.to_owned())), text);
        }
    }
}
