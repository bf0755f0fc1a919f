//! How long the frames are that hoptree sends, for whoever is to send as much.

use hoptree_core::{
    Address, Birth, Controller, ControllerConfig, Input, LinkId, Node, Order, Output, Registry,
    Time, Token, Worker, WorkerConfig,
};

use super::PATIENCE;

const LINK: LinkId = LinkId(1);
const TOKEN: Token = Token([0; 16]);

/// The length of the frame in which a control node sends what it makes of `line`, a command for
/// node 1. Two nodes that talk in memory tell; `None` when they come to no such frame.
pub fn frame_bytes(line: &str, commands: &Registry) -> Option<usize> {
    let mut controller = Controller::new(
        Time::ZERO,
        ControllerConfig {
            token: TOKEN,
            pid: 1,
            transport: "",
            timeout: PATIENCE,
            order: Order::Input,
            commands: commands.clone(),
        },
    );
    let birth = turn(&mut controller, [Input::Line(b"create 1")]).iter().find_map(spawned)?.clone();
    let mut worker = Worker::new(
        Time::ZERO,
        WorkerConfig {
            birth,
            token: TOKEN,
            pid: 1,
            parent: LINK,
            parent_address: Address(String::new()),
            transport: "",
            timeout: PATIENCE,
            commands: commands.clone(),
        },
    );
    let greeting = turn(&mut worker, [Input::Up(LINK)]);
    let hello = greeting.iter().find_map(sent)?;
    turn(&mut controller, [Input::Up(LINK), Input::Frame(LINK, hello)]);
    turn(&mut controller, [Input::Line(line.as_bytes())]).iter().find_map(sent).map(<[u8]>::len)
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
    use super::*;

    #[test]
    #[cfg(feature = "echo")]
    fn a_longer_line_makes_a_longer_frame() {
        let commands = Registry::linked().unwrap();
        let bytes = |line| frame_bytes(line, &commands).unwrap();
        let short = bytes("exec 1 echo x");
        assert!(short > "echo x".len());
        assert_eq!(bytes("exec 1 echo xyz"), short + 2);
    }

    #[test]
    fn a_line_that_nobody_is_sent_has_no_frame() {
        assert_eq!(frame_bytes("ping 2", &Registry::new([]).unwrap()), None);
    }
}
