//! The processes of the virtual machine.

use hoptree_core::{Controller, Life, LinkId, Node, Seed, Worker};

use crate::liar::Liar;

use crate::network::{Event, Moment};

/// The index of a process among all that there ever were; the control node is the first.
pub type Pid = usize;

pub const CONTROL: Pid = 0;

/// What process ids begin at for the nodes, so that none is taken for the answer to a ping.
pub const FIRST_PID: u32 = 1_000;

pub struct Process {
    pub life: Life,
    pub role: Role,
    /// Who has started it.
    pub spawner: Pid,
    /// What its clock counts from.
    pub started: Moment,
    /// When it ended.
    pub ended: Option<Moment>,
    /// How many reasons there are for it not to run.
    pub stops: u32,
    /// How many of them are that others have the processor.
    pub preempted: u32,
    /// What came while it did not run.
    pub held: Vec<Event>,
    /// The links whose ends it has.
    pub links: Vec<LinkId>,
    /// The lives that it is responsible for though others have started them.
    pub adopted: Vec<Life>,
    /// Which side of a partition it is on.
    pub side: bool,
    /// Its next deadline, as it was after it was last fed, and the next alarm that is planned.
    pub deadline: Moment,
    pub alarm: Moment,
    /// By how much its timer is late.
    pub lateness: Moment,
    /// What it proves its places with.
    pub seed: Option<Seed>,
    /// Below whom it hangs, and has hung, the last one last.
    pub parents: Vec<Pid>,
    /// It is compromised, or hangs below one that is, or has done so.
    pub is_suspect: bool,
    /// Nobody has asked for it but a compromised process.
    pub is_impostor: bool,
    /// When it has complained last of what others send.
    pub complained: Option<Moment>,
    /// What lies for it, when it is compromised.
    pub liar: Option<Box<Liar>>,
}

pub enum Role {
    Control(Box<Controller>),
    Worker(Box<Worker>),
    /// It has not begun.
    Starting,
    Ended,
}

impl Process {
    pub fn new(life: Life, role: Role, spawner: Pid, now: Moment) -> Process {
        Process {
            life,
            role,
            spawner,
            started: now,
            ended: None,
            stops: 0,
            preempted: 0,
            held: Vec::new(),
            links: Vec::new(),
            adopted: Vec::new(),
            side: false,
            deadline: Moment::MAX,
            alarm: Moment::MAX,
            lateness: 0,
            seed: None,
            parents: vec![spawner],
            is_suspect: false,
            is_impostor: false,
            complained: None,
            liar: None,
        }
    }

    pub fn node(&mut self) -> Option<&mut dyn Node> {
        match &mut self.role {
            Role::Control(controller) => Some(controller.as_mut()),
            Role::Worker(worker) => Some(worker.as_mut()),
            Role::Starting | Role::Ended => None,
        }
    }

    pub fn is_alive(&self) -> bool {
        self.ended.is_none()
    }
}

/// What the nodes are told of a process's id.
pub fn public(pid: Pid) -> u32 {
    FIRST_PID + u32::try_from(pid).expect("there are not that many processes")
}

/// The process with an id that the nodes were told of.
pub fn private(pid: u32) -> Option<Pid> {
    pid.checked_sub(FIRST_PID).map(|pid| pid as usize)
}
