//! The processes of one benchmark.

use std::path::Path;

use hoptree_core::Token;

use super::PATIENCE;
use crate::failure::Failure;
use crate::logging::LogConfig;
use crate::process::{Children, Heritage, Lifeline};

/// What all processes of a benchmark have in common, and the way to end them. They end also when
/// this process is killed.
pub struct Crew {
    heritage: Heritage,
    lifeline: Lifeline,
}

impl Crew {
    /// A crew without members, who will talk over `transport`.
    ///
    /// # Errors
    ///
    /// When the system refuses what a control node needs.
    pub fn new(transport: &str) -> Result<Crew, Failure> {
        let logs = LogConfig { verbosity: 0, dir: None };
        let (heritage, lifeline) = Heritage::found(transport, PATIENCE, logs)?;
        Ok(Crew { heritage, lifeline })
    }

    /// What proves that a peer belongs to it.
    pub fn token(&self) -> Token {
        self.heritage.token
    }

    /// Its place for sockets in the file system.
    pub fn directory(&self) -> &Path {
        &self.heritage.directory
    }

    /// Starts its members.
    pub fn children(&self) -> Children {
        Children::new(self.heritage.clone())
    }

    /// Ends all its processes, and returns when they have ended.
    pub fn dismiss(self) {
        let children = self.children();
        drop(self.lifeline);
        children.sweep();
    }
}
