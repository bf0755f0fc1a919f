//! What is held against what.

/// What does the work that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The whole of hoptree.
    Hoptree,
    /// Its transport alone.
    Raw,
    /// What is below the transport: its library in blocking calls, or a socket.
    Floor,
}

impl Subject {
    /// What a reader of figures knows it by.
    pub fn name(self) -> &'static str {
        match self {
            Subject::Hoptree => "hoptree",
            Subject::Raw => "raw",
            Subject::Floor => "floor",
        }
    }

    /// What it is to be compared with: the one with one thing less in the way.
    pub fn base(self) -> Option<Subject> {
        match self {
            Subject::Hoptree => Some(Subject::Raw),
            Subject::Raw => Some(Subject::Floor),
            Subject::Floor => None,
        }
    }
}
