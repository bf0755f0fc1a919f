//! What the checkers and the trace read of frames: the headers, as docs/protocol.md has them.

use hoptree_core::{FRAME_BYTES_MAX, Life, NodeId};

/// The acknowledgement in front.
pub const FRAME_HEADER_BYTES: usize = 4;

const MESSAGE_HEADER_BYTES: usize = 22;

/// The flags of the first piece of a body, of the last, and of one that is whole.
pub const FIRST: u8 = 1;
pub const LAST: u8 = 2;
pub const WHOLE: u8 = FIRST | LAST;

/// The names of the kinds of messages, from 1 on.
const KINDS: [&str; 29] = [
    "Hello", "Welcome", "Beat", "Shutdown", "Publish", "Exec", "Ping", "Create", "Remove",
    "Discard", "Answer", "Joined", "Lost", "Silent", "Heard", "Settled", "Moved", "Below", "Ended",
    "Forget", "Ask", "Fan", "Offer", "Take", "Output", "Grant", "Cancel", "Delay", "Reduced",
];

/// A message's header.
pub struct Header<'a> {
    kind: u8,
    flags: u8,
    pub node: u32,
    pub incarnation: u32,
    pub request: u64,
    pub body: &'a [u8],
}

impl Header<'_> {
    pub fn name(&self) -> &'static str {
        let index = usize::from(self.kind).wrapping_sub(1);
        KINDS.get(index).copied().unwrap_or("(unknown)")
    }

    /// Whether this is, or begins, a request on its way down to one node.
    pub fn begins_request(&self) -> bool {
        self.is_first()
            && self.request != 0
            && matches!(self.name(), "Exec" | "Ping" | "Create" | "Remove" | "Ask")
    }

    /// Whether it is for this life, or from it or about it.
    pub fn is_of(&self, life: Life) -> bool {
        (NodeId::compute(self.node), self.incarnation) == (Some(life.node), life.incarnation.0)
    }

    /// How many bytes of output a request may have sent in all.
    pub fn granted(&self) -> Option<u64> {
        postcard::from_bytes(self.body).ok().filter(|_| self.name() == "Grant")
    }

    /// The life that a parent must start.
    pub fn created(&self) -> Option<Life> {
        postcard::from_bytes(self.body).ok().filter(|_| self.name() == "Create")
    }

    /// Whether this is, or begins, an answer.
    pub fn begins_answer(&self) -> bool {
        self.is_first() && self.name() == "Answer"
    }

    /// Whether an answer is one that only the node itself can give: a result, or what was wrong. That
    /// a node can't be reached is said by others.
    pub fn is_of_the_node(&self) -> bool {
        self.flags >> 2 < 2
    }

    /// Whether its body has come with it to the end.
    pub fn is_whole(&self) -> bool {
        self.flags & WHOLE == WHOLE
    }

    fn is_first(&self) -> bool {
        self.flags & FIRST != 0
    }

    /// The lives that the message is about, and where they are said to hang: numbers, as they are.
    fn lives(&self) -> String {
        let mut body = self.body;
        let mut words = String::new();
        if matches!(self.name(), "Forget" | "Below") {
            number(&mut body);
        }
        while let Some(life) = self.life(&mut body) {
            words += &life;
            if matches!(self.name(), "Create" | "Joined" | "Moved") {
                break;
            }
        }
        words
    }

    /// The next life of the body.
    fn life(&self, body: &mut &[u8]) -> Option<String> {
        let mut next = || number(body);
        match self.name() {
            "Create" | "Discard" | "Forget" => Some(format!(" {}/{}", next()?, next()?)),
            "Joined" | "Moved" | "Below" | "Lost" | "Silent" | "Heard" => {
                let (node, life, above, parent, moves) =
                    (next()?, next()?, next()?, next()?, next()?);
                if self.name() == "Below" {
                    *body = body.get(PROOF_BYTES..)?;
                }
                Some(match above {
                    NOBODY => format!(" {node}/{life}<control+{moves}"),
                    _ => format!(" {node}/{life}<{above}/{parent}+{moves}"),
                })
            }
            _ => None,
        }
    }
}

const PROOF_BYTES: usize = 16;

/// The node of the control node.
const NOBODY: u64 = u32::MAX as u64;

/// Takes a number in its LEB128 form.
pub fn number(bytes: &mut &[u8]) -> Option<u64> {
    let end = bytes.iter().position(|byte| byte & 0x80 == 0)?;
    let number = bytes[..=end].iter().rev();
    let number = number.fold(0u64, |number, byte| number << 7 | u64::from(byte & 0x7f));
    *bytes = &bytes[end + 1..];
    Some(number)
}

/// How many frames of the other end its sender had taken in.
pub fn acknowledged(frame: &[u8]) -> u32 {
    frame.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

/// The messages of a frame, as they are; ends at the first that makes no sense.
pub fn messages(frame: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = frame.get(FRAME_HEADER_BYTES..).unwrap_or_default();
    std::iter::from_fn(move || {
        let length = u32::from_le_bytes(*rest.first_chunk()?) as usize + 4;
        let (message, left) = rest.split_at_checked(length)?;
        rest = left;
        Some(message).filter(|message| message.len() >= MESSAGE_HEADER_BYTES)
    })
}

/// The headers of a frame's messages; ends at the first that makes no sense.
pub fn headers(frame: &[u8]) -> impl Iterator<Item = Header<'_>> {
    messages(frame).filter_map(header)
}

/// The header of a message.
pub fn header(message: &[u8]) -> Option<Header<'_>> {
    let (header, body) = message.split_first_chunk::<MESSAGE_HEADER_BYTES>()?;
    let request = u64::from_le_bytes(*header.last_chunk()?);
    let node = u32::from_le_bytes(*header[6..].first_chunk()?);
    let incarnation = u32::from_le_bytes(*header[10..].first_chunk()?);
    let (kind, flags) = (header[4], header[5]);
    Some(Header { kind, flags, node, incarnation, request, body })
}

/// A message that is whole, with these numbers as they are.
pub fn message(kind: u8, flags: u8, life: Life, request: u64, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(MESSAGE_HEADER_BYTES - 4 + body.len()).unwrap();
    let mut message = length.to_le_bytes().to_vec();
    message.extend([kind, flags]);
    let node = if life.node.is_control() { u32::MAX } else { id(life.node) };
    message.extend(node.to_le_bytes());
    message.extend(life.incarnation.0.to_le_bytes());
    message.extend(request.to_le_bytes());
    message.extend(body);
    message
}

/// Adds messages to a frame, as far as it may be long.
pub fn add(messages: &[Vec<u8>], frame: &mut Vec<u8>) {
    for message in messages {
        if frame.len() + message.len() <= FRAME_BYTES_MAX {
            frame.extend(message);
        }
    }
}

/// The number of a compute node.
fn id(node: NodeId) -> u32 {
    node.to_string().parse().unwrap()
}

/// The number of a kind of messages.
pub fn kind(name: &str) -> u8 {
    let index = KINDS.iter().position(|kind| *kind == name).unwrap();
    u8::try_from(index + 1).unwrap()
}

/// A frame in words.
pub fn in_words(frame: &[u8]) -> String {
    let mut words = format!("ack {}", acknowledged(frame));
    for header in headers(frame) {
        let Header { request, body, .. } = header;
        words += &format!(", {} #{request:x} {} B{}", header.name(), body.len(), header.lives());
    }
    words
}
