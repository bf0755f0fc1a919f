//! What the checkers and the trace read of frames: the headers, as docs/protocol.md has them.

/// The acknowledgement in front.
pub const FRAME_HEADER_BYTES: usize = 4;

const MESSAGE_HEADER_BYTES: usize = 22;

/// The names of the kinds of messages, from 1 on.
const KINDS: [&str; 22] = [
    "Hello", "Welcome", "Beat", "Shutdown", "Publish", "Exec", "Ping", "Create", "Remove",
    "Discard", "Answer", "Joined", "Lost", "Silent", "Heard", "Settled", "Moved", "Below", "Ended",
    "Forget", "Ask", "Fan",
];

/// A message's header.
pub struct Header {
    kind: u8,
    is_first: bool,
    pub node: u32,
    pub request: u64,
    body_bytes: usize,
}

impl Header {
    pub fn name(&self) -> &'static str {
        let index = usize::from(self.kind).wrapping_sub(1);
        KINDS.get(index).copied().unwrap_or("(unknown)")
    }

    /// Whether this is, or begins, a request on its way down to one node.
    pub fn begins_request(&self) -> bool {
        self.is_first
            && self.request != 0
            && matches!(self.name(), "Exec" | "Ping" | "Create" | "Remove" | "Ask")
    }
}

/// How many frames of the other end its sender had taken in.
pub fn acknowledged(frame: &[u8]) -> u32 {
    frame.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

/// The headers of a frame's messages; ends at the first that makes no sense.
pub fn headers(frame: &[u8]) -> impl Iterator<Item = Header> {
    let mut rest = frame.get(FRAME_HEADER_BYTES..).unwrap_or_default();
    std::iter::from_fn(move || {
        let header = rest.first_chunk::<MESSAGE_HEADER_BYTES>()?;
        let length = u32::from_le_bytes(*header.first_chunk()?) as usize + 4;
        let request = u64::from_le_bytes(*header.last_chunk()?);
        let body_bytes = length.checked_sub(MESSAGE_HEADER_BYTES)?;
        let node = u32::from_le_bytes(*header[6..].first_chunk()?);
        let is_first = header[5] & 1 != 0;
        let header = Header { kind: header[4], is_first, node, request, body_bytes };
        rest = rest.get(length..)?;
        Some(header)
    })
}

/// A frame in words.
pub fn in_words(frame: &[u8]) -> String {
    let mut words = format!("ack {}", acknowledged(frame));
    for header in headers(frame) {
        words += &format!(", {} #{:x} {} B", header.name(), header.request, header.body_bytes);
    }
    words
}
