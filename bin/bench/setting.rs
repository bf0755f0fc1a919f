//! What all measures of one transport have in common.

use hoptree_core::{Registry, TransportSpec};

use super::alarm::Alarm;
use super::crew::Crew;
use super::frame::frame_bytes;
use crate::failure::Failure;

/// What the nodes are told to echo.
pub const TEXT: &str = "0123456789abcdef";

/// What is measured, and what surrounds it.
pub struct Setting<'a> {
    /// The transport.
    pub spec: &'static TransportSpec,
    /// What nodes can be told.
    pub commands: &'a Registry,
    /// The signals of this process.
    pub alarm: &'a Alarm,
}

impl Setting<'_> {
    /// Has `act` do something with a crew, all of which has ended when this returns.
    ///
    /// # Errors
    ///
    /// When `act` fails, or there can be no crew.
    pub fn with_crew<T>(
        &self,
        act: impl FnOnce(&Crew) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let crew = Crew::new(self.spec.name)?;
        let done = act(&crew);
        crew.dismiss();
        done
    }

    /// The length of the frame in which a node is told to echo [`TEXT`].
    ///
    /// # Errors
    ///
    /// When a node is not told at all.
    pub fn frame_bytes(&self) -> Result<usize, Failure> {
        frame_bytes(&format!("exec 1 echo {TEXT}"), self.commands)
            .ok_or_else(|| Failure::Runtime("two nodes in memory do not talk".to_owned()))
    }
}
