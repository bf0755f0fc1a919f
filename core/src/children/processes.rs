//! The processes whose end a node must see to: those that it has started, as long as they have no
//! other parent, and those that it has taken in.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::node::LEFT_BEHIND;
use crate::time::earliest;
use crate::wire::{self, Kind, Message, NO_REQUEST, Status, Up};
use crate::{Exit, Life, Machine, Output, ProcessId, RequestId, Time};

/// The processes of one node's children.
#[derive(Debug)]
pub(crate) struct Processes {
    /// Whose children they are of.
    own: Life,
    /// Where they run.
    machine: Machine,
    by_life: BTreeMap<Life, Process>,
    /// All of them must end.
    is_end: bool,
    /// What could not be ended first, here or below.
    left: Option<String>,
}

#[derive(Debug)]
enum Process {
    /// Started for this request; its hello is awaited.
    Starting(RequestId),
    /// Started here. Without a link it is on its way to another parent, or has found one.
    Running,
    /// Started by somebody else, and taken in. Its end is known from its link alone.
    Adopted,
    /// It must end.
    Ending(Ending),
}

/// How long a process that was killed may take to be gone before the node that waits for that hears
/// so. A debugger or a control group that is frozen may hold it for ever.
pub(crate) const GONE_WITHIN: Duration = Duration::from_secs(2);

/// The same when this node must end itself: what is left is the control node's then, which looks
/// for it last of all. A busy machine takes tens of milliseconds to end what was killed. The
/// parent, which waits for this node, has more patience, by
/// [`END_GRACE_STEP`](crate::children::END_GRACE_STEP).
const LEFT_WITHIN: Duration = Duration::from_millis(75);

/// What is known of the end of a process that must end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum End {
    /// It will be told.
    #[default]
    Awaited,
    /// It will not be told, since the process was adopted. It is over when its link is.
    Untold,
    /// It was told. Its link should have ended with it, but may be held by a process that it was just
    /// starting.
    Told,
}

#[derive(Clone, Debug, Default)]
struct Ending {
    /// When it is killed, if it has not ended by itself.
    kill_at: Option<Time>,
    /// It has asked for more time, and has it.
    is_delayed: bool,
    /// By when it must be gone; it is not waited for any longer.
    gone_by: Option<Time>,
    /// The request that wants to know of its end.
    request: Option<RequestId>,
    /// What is known of its end.
    end: End,
    /// What it says that it has left behind.
    left: Option<String>,
}

impl Processes {
    pub fn new(own: Life, machine: Machine) -> Processes {
        Processes { own, machine, by_life: BTreeMap::new(), is_end: false, left: None }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_life.is_empty()
    }

    /// How many were started, or are about to be, and have not joined.
    pub fn starting(&self) -> usize {
        let is_starting = |process: &&Process| matches!(process, Process::Starting(_));
        self.by_life.values().filter(is_starting).count()
    }

    /// Whether a life is known here and must end.
    pub fn is_ending(&self, life: Life) -> bool {
        matches!(self.by_life.get(&life), Some(Process::Ending(_)))
    }

    /// A process is about to be started, as a request wants it.
    pub fn start(&mut self, life: Life, request: RequestId) {
        self.by_life.insert(life, Process::Starting(request));
    }

    /// A process has said hello. If it was awaited, that is the answer to the request that this
    /// returns.
    pub fn join(&mut self, life: Life) -> Option<RequestId> {
        let process = self.by_life.get_mut(&life)?;
        let Process::Starting(request) = *process else { return None };
        *process = Process::Running;
        Some(request)
    }

    /// An orphan stays. Its process is adopted, unless it was started here, or runs on another machine,
    /// where its pid means another process.
    pub fn adopt(&mut self, life: Life, process: ProcessId, out: &mut Vec<Output>) {
        let is_here = process.machine == self.machine;
        self.by_life.entry(life).or_insert_with(|| {
            if is_here {
                out.push(Output::Adopt(life, process.pid));
            }
            Process::Adopted
        });
    }

    /// A process must end by itself, or is killed at `kill_at`, and then the request is
    /// answered. Says whether there is one.
    pub fn end(&mut self, life: Life, kill_at: Time, request: RequestId) -> bool {
        let Some(process) = self.by_life.get_mut(&life) else { return false };
        let end = match process {
            Process::Adopted => End::Untold,
            Process::Ending(earlier) => earlier.end,
            Process::Starting(_) | Process::Running => End::Awaited,
        };
        let gone_by = Some(kill_at + GONE_WITHIN);
        let kill_at = (end != End::Told).then_some(kill_at);
        let request = Some(request);
        let ending = Ending { kill_at, gone_by, request, end, ..Ending::default() };
        *process = Process::Ending(ending);
        true
    }

    /// All must end by themselves, or are killed at `kill_at`; says which must be asked to.
    /// Those without a link belong to another parent by now, end by themselves, or have not begun.
    pub fn end_all(
        &mut self,
        kill_at: Time,
        is_linked: impl Fn(Life) -> bool,
        out: &mut Vec<Output>,
    ) -> Vec<Life> {
        self.is_end = true;
        self.by_life.retain(|life, process| match process {
            Process::Running | Process::Adopted => is_linked(*life),
            Process::Starting(_) | Process::Ending(_) => true,
        });
        let mut to_ask = Vec::new();
        for (life, process) in &mut self.by_life {
            let mut ending = match process {
                Process::Ending(ending) => std::mem::take(ending),
                Process::Starting(_) => {
                    out.push(Output::Kill(*life));
                    Ending::default()
                }
                Process::Running | Process::Adopted => {
                    to_ask.push(*life);
                    let is_adopted = matches!(process, Process::Adopted);
                    let end = if is_adopted { End::Untold } else { End::Awaited };
                    Ending { kill_at: Some(kill_at), end, ..Ending::default() }
                }
            };
            ending.gone_by = earliest(ending.gone_by, Some(kill_at + LEFT_WITHIN));
            *process = Process::Ending(ending);
        }
        to_ask
    }

    /// Ends a process whose link is gone, at once, whatever state it is in.
    pub fn discard(&mut self, life: Life, out: &mut Vec<Output>, up: &mut Up<'_>) {
        match self.by_life.get_mut(&life) {
            None => return,
            Some(Process::Adopted) => {
                self.by_life.remove(&life);
            }
            Some(Process::Ending(ending)) if ending.end != End::Awaited => self.ended(life, up),
            Some(Process::Ending(ending)) => ending.kill_at = None,
            Some(process) => {
                if let Process::Starting(request) = *process {
                    up(Message::answer(self.own, request, Status::Unavailable, &[]));
                }
                *process = Process::Ending(Ending::default());
            }
        }
        out.push(Output::Kill(life));
    }

    /// A process that must end needs until then. Says whether this node, which must end itself, waits for
    /// it.
    pub fn delay(&mut self, life: Life, until: Time) -> bool {
        let Some(Process::Ending(ending)) = self.by_life.get_mut(&life) else { return false };
        // A compromised one would live for ever.
        if std::mem::replace(&mut ending.is_delayed, true) {
            return false;
        }
        ending.kill_at = ending.kill_at.map(|kill_at| kill_at.max(until));
        ending.gone_by = ending.gone_by.map(|gone_by| gone_by.max(until + LEFT_WITHIN));
        self.is_end
    }

    /// A process could not be started.
    pub fn spawn_failed(&mut self, life: Life, why: &str, up: &mut Up<'_>) {
        if let Some(Process::Starting(request)) = self.by_life.remove(&life) {
            up(Message::answer(self.own, request, Status::Failed, why.as_bytes()));
        }
    }

    /// A process has ended. What it sent before is still to come if it has a link.
    pub fn exited(
        &mut self,
        life: Life,
        exit: Exit,
        words: Option<&str>,
        is_linked: bool,
        up: &mut Up<'_>,
    ) {
        match self.by_life.get_mut(&life) {
            Some(Process::Starting(request)) => {
                let why = match words {
                    Some(words) => format!("node {} could not start: {words}", life.node),
                    None => format!("node {} ended before it joined: {exit}", life.node),
                };
                up(Message::answer(self.own, *request, Status::Failed, why.as_bytes()));
                self.by_life.remove(&life);
            }
            Some(Process::Ending(ending)) => {
                ending.end = End::Told;
                ending.kill_at = None;
                ending.left = words.filter(|_| exit == LEFT_BEHIND).map(str::to_owned);
                if !is_linked {
                    self.ended(life, up);
                }
            }
            // One that was not waited for any longer may end after all.
            Some(Process::Running | Process::Adopted) | None => {
                match words {
                    Some(words) => log::error!("{life} has ended: {words}"),
                    None => log::info!("{life} has ended: {exit}"),
                }
                self.by_life.remove(&life);
                let ended = wire::body(&(life, exit));
                up(Message::new(Kind::Ended, life, NO_REQUEST, &ended));
            }
        }
    }

    /// The link of a child is gone. Says whether that is a loss: it was not to end.
    pub fn unlinked(
        &mut self,
        now: Time,
        life: Life,
        out: &mut Vec<Output>,
        up: &mut Up<'_>,
    ) -> bool {
        match self.by_life.get_mut(&life) {
            Some(Process::Ending(ending)) => {
                if self.is_end {
                    ending.gone_by = earliest(ending.gone_by, Some(now + LEFT_WITHIN));
                }
                if ending.end != End::Awaited {
                    // One that was adopted may have found another parent before it was asked to
                    // end.
                    out.push(Output::Kill(life));
                    self.ended(life, up);
                }
                return false;
            }
            Some(Process::Adopted) => {
                self.by_life.remove(&life);
            }
            // It looks for another parent, unless it is dead.
            Some(Process::Running | Process::Starting(_)) | None => {}
        }
        true
    }

    /// A life that had to end has ended, and so has its link.
    pub fn ended(&mut self, life: Life, up: &mut Up<'_>) {
        let Some(Process::Ending(Ending { request, left, .. })) = self.by_life.remove(&life) else {
            return;
        };
        if left.is_some() {
            let ended = wire::body(&(life, LEFT_BEHIND));
            up(Message::new(Kind::Ended, life, NO_REQUEST, &ended));
        }
        match (request, left) {
            (Some(request), None) => up(Message::answer(self.own, request, Status::Ok, &[])),
            (Some(request), Some(left)) => {
                up(Message::answer(self.own, request, Status::Failed, left.as_bytes()));
            }
            (None, Some(left)) => {
                self.left.get_or_insert(left);
            }
            (None, None) => {}
        }
    }

    /// What could not be ended when all were to, here or below, in words for the user: the first of
    /// it.
    pub fn left(&self) -> Option<&str> {
        self.left.as_deref()
    }

    /// The lives that have ended as they had to, while their links have not in all the time that they
    /// had for both.
    pub fn still_linked(&self, now: Time) -> Vec<Life> {
        let is_overdue = |process: &Process| match process {
            Process::Ending(ending) => ending.end == End::Told && is_due(ending.gone_by, now),
            _ => false,
        };
        self.by_life
            .iter()
            .filter(|(_, process)| is_overdue(process))
            .map(|(life, _)| *life)
            .collect()
    }

    /// Kills those that have not ended in time, and gives up those that are not gone even so. Says
    /// which these are, with the requests that wait for their end.
    pub fn end_overdue(
        &mut self,
        now: Time,
        out: &mut Vec<Output>,
    ) -> Vec<(Life, Option<RequestId>)> {
        for (life, process) in &mut self.by_life {
            if let Process::Ending(ending) = process
                && is_due(ending.kill_at, now)
            {
                log::info!("{life} did not end when it was asked to, and is killed");
                ending.kill_at = None;
                out.push(Output::Kill(*life));
            }
        }
        let left = self.by_life.extract_if(.., |_, process| match process {
            Process::Ending(ending) => ending.end != End::Told && is_due(ending.gone_by, now),
            _ => false,
        });
        let request = |process| match process {
            Process::Ending(ending) => ending.request,
            _ => None,
        };
        let left: Vec<_> = left.map(|(life, process)| (life, request(process))).collect();
        if self.is_end
            && let Some((Life { node, .. }, _)) = left.first()
        {
            self.left.get_or_insert_with(|| {
                format!("has ended and left node {node}, which was killed and has not ended")
            });
        }
        left
    }

    /// When [`Processes::end_overdue`] has something to do.
    pub fn deadline(&self) -> Option<Time> {
        let endings = self.by_life.values().filter_map(|process| match process {
            Process::Ending(ending) => earliest(ending.kill_at, ending.gone_by),
            _ => None,
        });
        endings.min()
    }
}

/// Whether a time, if there is one, has come.
fn is_due(time: Option<Time>, now: Time) -> bool {
    time.is_some_and(|time| time <= now)
}
