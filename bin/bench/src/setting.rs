//! What all measures of one transport have in common.

use std::path::PathBuf;

use hoptree_core::{Registry, TransportSpec};
use hoptree_host::Failure;

use super::alarm::TreeSignals;
use super::crew::Crew;
use super::frame::frame_lengths;

/// What nodes are told to echo where nothing else is said: 16 bytes.
pub const TEXT: &str = "0123456789abcdef";

/// What is measured, and what surrounds it.
pub struct Setting<'a> {
    /// The transport.
    pub spec: &'static TransportSpec,
    /// What nodes can be told.
    pub commands: &'a Registry,
    /// The signals of this process.
    pub signals: &'a TreeSignals,
    /// The directory of its trees. Whoever sees the benchmark end removes it.
    pub directory: PathBuf,
}

impl Setting<'_> {
    /// A crew without members.
    ///
    /// # Errors
    ///
    /// When the system refuses what a control node needs.
    pub fn crew(&self) -> Result<Crew, Failure> {
        Crew::with_directory(&self.directory, self.spec.name)
    }

    /// Has `act` do something with a crew, all of which has ended when this returns.
    ///
    /// # Errors
    ///
    /// When `act` fails, or there can be no crew.
    pub fn with_crew<T>(
        &self,
        act: impl FnOnce(&Crew) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let crew = self.crew()?;
        let done = act(&crew);
        crew.dismiss();
        done
    }

    /// Frames as long as those in which a node is told to echo `text`.
    ///
    /// # Errors
    ///
    /// When a node is not told at all.
    pub fn frames(&self, text: &str) -> Result<Vec<Vec<u8>>, Failure> {
        let lengths = frame_lengths(&format!("exec 1 echo {text}"), self.commands)
            .ok_or_else(|| Failure::Runtime("two nodes in memory do not talk".to_owned()))?;
        Ok(lengths.into_iter().map(|length| vec![0; length]).collect())
    }
}
