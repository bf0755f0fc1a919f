//! How long the frames are that hoptree sends, for those who send as much without it.

use hoptree_core::{
    Address, Birth, Controller, ControllerConfig, Input, KEY_BYTES, LinkId, Machine, Node, Order,
    Output, ProcessId, Registry, Secret, Time, Token, Worker, WorkerConfig,
};

use super::PATIENCE;

const LINK: LinkId = LinkId(1);
const TOKEN: Token = Token([0; 16]);

/// The lengths of the frames in which a control node sends what it makes of `line`, a command for
/// node 1, up to its answer. Two nodes that talk in memory tell; `None` when they come to no
/// answer.
pub fn frame_lengths(line: &str, commands: &Registry) -> Option<Vec<usize>> {
    let mut pair = Pair::new(commands)?;
    let hello = turn(&mut pair.worker, [Input::Up(LINK)]);
    let greeted = pair.controller_hears(&hello);
    pair.talk(greeted);
    let asked = turn(&mut pair.controller, [Input::Line(line.as_bytes())]);
    pair.talk(asked).filter(|lengths| !lengths.is_empty())
}

/// A control node and its child.
struct Pair {
    controller: Controller,
    worker: Worker,
}

impl Pair {
    fn new(commands: &Registry) -> Option<Pair> {
        let mut controller = Controller::new(
            Time::ZERO,
            ControllerConfig {
                token: TOKEN,
                own_secret: Secret::new(&[7; KEY_BYTES]),
                process: ProcessId { machine: Machine::default(), pid: 1 },
                transport: "",
                timeout: PATIENCE,
                order: Order::Input,
                nodes_max: usize::MAX,
                records: false,
                commands: commands.clone(),
            },
        );
        let create = [Input::Line(b"create 1"), Input::Up(LINK)];
        let birth = turn(&mut controller, create).iter().find_map(spawned)?.clone();
        let worker = Worker::new(
            Time::ZERO,
            WorkerConfig {
                birth,
                token: TOKEN,
                process: ProcessId { machine: Machine::default(), pid: 1 },
                parent: LINK,
                parent_address: Address(String::new()),
                transport: "",
                timeout: PATIENCE,
                commands: commands.clone(),
            },
        );
        Some(Pair { controller, worker })
    }

    /// Carries frames to and fro until there are none, and says how long those were that the
    /// control node had sent by the time it printed; `None` when it printed nothing.
    fn talk(&mut self, mut outputs: Vec<Output>) -> Option<Vec<usize>> {
        let mut lengths = Vec::new();
        let mut answered = false;
        loop {
            answered |= outputs.iter().any(|output| matches!(output, Output::Print(_)));
            let frames: Vec<_> = outputs.iter().filter_map(sent).collect();
            if frames.is_empty() {
                return answered.then_some(lengths);
            }
            if !answered {
                lengths.extend(frames.iter().map(|frame| frame.len()));
            }
            let down = frames.into_iter().map(|frame| Input::Frame(LINK, frame));
            let answers = turn(&mut self.worker, down);
            outputs = self.controller_hears(&answers);
        }
    }

    fn controller_hears(&mut self, outputs: &[Output]) -> Vec<Output> {
        let up = outputs.iter().filter_map(sent).map(|frame| Input::Frame(LINK, frame));
        turn(&mut self.controller, up)
    }
}

fn turn<'a>(node: &mut impl Node, inputs: impl IntoIterator<Item = Input<'a>>) -> Vec<Output> {
    let mut out = Vec::new();
    for input in inputs {
        node.handle(Time::ZERO, input, &mut out);
    }
    node.flush(Time::ZERO, &mut out);
    out
}

fn spawned(output: &Output) -> Option<&Birth> {
    match output {
        Output::Spawn(birth, _) => Some(birth),
        _ => None,
    }
}

fn sent(output: &Output) -> Option<&[u8]> {
    match output {
        Output::Send(_, frame) => Some(frame),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use hoptree_echo as _;

    use super::*;

    #[test]
    fn a_longer_line_makes_a_longer_frame() {
        let commands = Registry::linked().unwrap();
        let lengths = |line: &str| frame_lengths(line, &commands).unwrap();
        let short = lengths("exec 1 echo x");
        assert!(short.len() == 1 && short[0] > "echo x".len());
        assert_eq!(lengths("exec 1 echo xyz"), [short[0] + 2]);
    }

    #[test]
    fn a_long_line_makes_many_frames() {
        let commands = Registry::linked().unwrap();
        let text = "x".repeat(64 * 1024);
        let lengths = frame_lengths(&format!("exec 1 echo {text}"), &commands).unwrap();
        assert!(lengths.len() >= 4, "{lengths:?}");
        let total: usize = lengths.iter().sum();
        assert!((text.len()..text.len() + 1024).contains(&total), "{lengths:?}");
    }

    #[test]
    fn a_line_that_nobody_is_sent_has_no_frame() {
        assert_eq!(frame_lengths("ping 2", &Registry::new([]).unwrap()), None);
    }
}
