//! What a task comes to whose answers are folded: that follows from the task and the class of its node.

use hoptree_core::{Exit, NodeId, Stream};

use crate::probe::text_of;

/// How much output a node holds for its answer, in bytes. With more, it comes before the answer.
pub const HELD_BYTES_MAX: usize = 1024 * 1024;

/// How long a line of output is at most, beside what it begins with.
const LINE_BYTES: usize = 8_000;

/// A task that has the same answer at all nodes of one class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alike {
    pub task: usize,
    /// How many classes there are. Of three or more, the last one fails.
    pub classes: usize,
    /// How much the task emits, roughly.
    pub bytes: usize,
}

/// When a node answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    AtOnce,
    /// After this many milliseconds.
    Later(u64),
    /// By work beside the node.
    Beside,
}

impl Alike {
    fn class(self, node: NodeId) -> usize {
        id(node) % self.classes.max(1)
    }

    /// When a node answers, which has nothing to do with its class.
    pub fn when(self, node: NodeId) -> When {
        match (self.task + id(node) / 3) % 4 {
            // A thread can't be held up.
            _ if self.bytes > HELD_BYTES_MAX / 2 => When::Beside,
            0 => When::AtOnce,
            1 => When::Later(1 + id(node) as u64 % 20),
            2 => When::Later(1),
            _ => When::Beside,
        }
    }

    /// What a node answers.
    ///
    /// # Errors
    ///
    /// In the last of many classes.
    pub fn outcome(self, node: NodeId) -> Result<String, String> {
        let class = self.class(node);
        let text = format!("{} of class {class}", self.task);
        if self.classes > 2 && class + 1 == self.classes { Err(text) } else { Ok(text) }
    }

    /// How the program ended that it says has failed.
    pub fn exit(self) -> Exit {
        let number = 1 + (self.task % 60) as i32;
        if self.task.is_multiple_of(2) { Exit::Status(number) } else { Exit::Signal(number) }
    }

    /// What a node emits on a stream. All classes emit as much.
    pub fn output(self, node: NodeId, stream: Stream) -> String {
        let class = self.class(node);
        let bytes = if stream == Stream::Out { self.bytes } else { self.bytes % 50 };
        let lines = bytes.div_ceil(LINE_BYTES);
        let mut text = String::new();
        for number in 0..lines {
            let bytes = LINE_BYTES.min(bytes - number * LINE_BYTES);
            text += &format!("s{} {class} {number}: ", self.task);
            text += &text_of(self.task + class, bytes);
            text.push('\n');
        }
        // The last line of some tasks has no end.
        if self.task.is_multiple_of(2) {
            text.pop();
        }
        text
    }

    /// Whether the output of a node comes before its answer, as lines of its own.
    pub fn is_streamed(self, node: NodeId) -> bool {
        let bytes = |stream| self.output(node, stream).len();
        bytes(Stream::Out) + bytes(Stream::Err) > HELD_BYTES_MAX
    }
}

/// The task of a line of output, if it is of one of these.
pub fn task_of(line: &str) -> Option<usize> {
    line.strip_prefix('s')?.split(' ').next()?.parse().ok()
}

pub fn id(node: NodeId) -> usize {
    node.to_string().parse().unwrap()
}
