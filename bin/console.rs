//! The console: lines in, replies and notices out, around the driver of the control node.

use std::borrow::Cow;
use std::io::{self, IsTerminal};
use std::mem;
use std::time::Duration;

use hoptree_core::{Controller, Input, TransportError, Waker};
use hoptree_host::visible::visible;
use hoptree_host::writer::{Unbuffered, Writer};
use hoptree_host::{Driver, LINES_PER_TURN_MAX, Patience, Signals};

use crate::joblog::JobLog;
use crate::prompt::{Prompt, obeys_escapes};
use crate::stdin::{Entry, Stdin};

/// No more lines are read, and answers stay in the tree, while more than this waits to be written. It
/// is exceeded by what has come by then: by one long answer or two, and by what is on the way on each
/// of the control node's links, 128 KiB.
const STDOUT_ROOM_BYTES: usize = 1024 * 1024;

/// More than this is not copied on its way to the output.
const LONG_BYTES_MIN: usize = 64 * 1024;

/// What is told when SIGINT finds nothing to cancel.
const HOW_TO_END: &[u8] =
    b"nothing to cancel; a second Ctrl-C within a second ends the tree at once, 'exit' in order\n";

/// How long an interrupted program still tries to write what it has.
const LAST_WORDS_TIME_MAX: Duration = Duration::from_millis(200);

/// The console of a control node.
pub struct Console {
    driver: Driver<Controller>,
    stdin: Stdin,
    stdout: Writer,
    /// Whether stdout is a terminal.
    on_terminal: bool,
    prompt: Prompt,
    signals: Signals,
    job_log: Option<JobLog>,
    screen: Vec<u8>,
    /// Whether the node was told last that too much waits to be written.
    blocked: bool,
    interrupted: bool,
}

impl Console {
    /// A console that feeds `driver` from `stdin` and shows what it prints, with a prompt if
    /// `prompting`. The waker is that of the driver's transport.
    ///
    /// # Errors
    ///
    /// When the thread that writes can't be started. It has to run from now on: when there is
    /// something to write, the tree may have used up what there may be of threads.
    pub fn new(
        driver: Driver<Controller>,
        stdin: Stdin,
        prompting: bool,
        signals: Signals,
        waker: Waker,
    ) -> io::Result<Console> {
        let stdout = Unbuffered(io::stdout());
        let stdout = Writer::new("stdout", STDOUT_ROOM_BYTES, stdout, move || waker.wake());
        stdout.start()?;
        signals.set_interrupt_cancels(stdin.is_terminal());
        Ok(Console {
            driver,
            stdin,
            stdout,
            on_terminal: io::stdout().is_terminal(),
            prompt: Prompt::new(prompting, obeys_escapes()),
            signals,
            job_log: None,
            screen: Vec::new(),
            blocked: false,
            interrupted: false,
        })
    }

    /// This console, which logs what is answered.
    pub fn with_job_log(self, job_log: Option<JobLog>) -> Console {
        Console { job_log, ..self }
    }

    /// Runs the loop until the tree has ended.
    ///
    /// # Errors
    ///
    /// When the transport can't go on.
    pub fn run(&mut self) -> Result<(), TransportError> {
        while !self.driver.is_done() {
            self.show();
            let patience = if self.has_input() { Patience::Look } else { Patience::Wait };
            self.driver.wait(patience)?;
            self.heed_interrupt();
            self.heed_cancel();
            self.heed_backlog();
            self.feed_lines();
            self.driver.end_turn();
            self.log_jobs();
        }
        self.show();
        Ok(())
    }

    /// Why not all of the input could be read, if so, in words for the user.
    pub fn input_failure(&self) -> Option<&str> {
        self.stdin.failure()
    }

    /// Takes the console apart: what is left to end, and the output.
    pub fn into_parts(mut self) -> (Driver<Controller>, LastWords) {
        // There is nothing left to cancel.
        self.signals.set_interrupt_cancels(false);
        self.screen.clear();
        self.prompt.end(&mut self.screen);
        self.stdout.write(&self.screen);
        let last_words = LastWords {
            stdout: self.stdout,
            job_log: self.job_log,
            signals: self.signals,
            interrupted: self.interrupted,
        };
        (self.driver, last_words)
    }

    /// Whether there is a line that may be fed now. When not, whatever changes that wakes the loop.
    fn has_input(&mut self) -> bool {
        self.may_feed() && self.stdin.is_ready()
    }

    fn may_feed(&self) -> bool {
        !self.interrupted
            && self.driver.node().wants_line()
            && self.stdout.has_room()
            && self.job_log.as_ref().is_none_or(JobLog::has_room)
    }

    fn feed_lines(&mut self) {
        if !self.may_feed() {
            return;
        }
        for _ in 0..LINES_PER_TURN_MAX {
            let refusal;
            let input = match self.stdin.take() {
                None => return,
                Some(Entry::Line(line)) => Input::Line(line),
                Some(Entry::TooLong) => Input::LineTooLong,
                Some(Entry::Typed(line)) => {
                    self.prompt.line_begun(&line);
                    continue;
                }
                Some(Entry::Refused(text)) => {
                    refusal = text;
                    Input::LineRefused(&refusal)
                }
                Some(Entry::End) => {
                    self.driver.feed(Input::EndOfInput);
                    return;
                }
            };
            self.prompt.line_ended();
            self.driver.feed(input);
            if !self.driver.node().wants_line() {
                return;
            }
        }
    }

    /// Tells the node when too much waits to be written, and when that is over: a reader that is slow,
    /// or stopped, stops what is on its way to it, and nothing else.
    fn heed_backlog(&mut self) {
        let blocked = !self.stdout.has_room();
        if mem::replace(&mut self.blocked, blocked) != blocked {
            self.driver.feed(Input::OutputBlocked(blocked));
        }
    }

    /// Tells the node, once, that the user wants an end: by a signal, or by closing the output.
    fn heed_interrupt(&mut self) {
        if self.interrupted {
            return;
        }
        if let Some(signal) = self.signals.interrupt() {
            log::info!("ending after signal {signal}");
        } else if let Some(error) = self.stdout.failure() {
            log::info!("ending after stdout failed: {error}");
        } else {
            return;
        }
        self.interrupted = true;
        self.driver.feed(Input::Interrupt);
    }

    /// Cancels what is under way, when the user wants that, and drops what they have typed.
    fn heed_cancel(&mut self) {
        if !self.signals.take_cancel() || self.interrupted {
            return;
        }
        self.stdin.clear();
        self.screen.clear();
        self.prompt.line_dropped(&mut self.screen);
        self.stdout.write_at_once(io::stdout(), &self.screen);
        if self.driver.node().can_cancel() {
            self.driver.feed(Input::Cancel);
        } else {
            self.driver.printed().extend_from_slice(HOW_TO_END);
        }
    }

    /// Logs what was answered in this turn.
    fn log_jobs(&mut self) {
        let Some(job_log) = &mut self.job_log else { return };
        for (started, record) in self.driver.take_records() {
            job_log.add(started, &record);
        }
        job_log.flush();
    }

    /// Hands over what was printed. Does not block.
    fn show(&mut self) {
        if !self.on_terminal && self.driver.printed().len() > LONG_BYTES_MIN {
            let printed = mem::take(self.driver.printed());
            return self.stdout.write(printed);
        }
        let wants_line = !self.interrupted && self.driver.node().wants_line();
        self.screen.clear();
        let printed = self.driver.printed();
        let text = if self.on_terminal { visible(printed) } else { Cow::Borrowed(&printed[..]) };
        let prompted = self.prompt.show(&text, wants_line, &mut self.screen);
        printed.clear();
        self.stdout.write_at_once(io::stdout(), &self.screen);
        if prompted {
            self.stdin.reveal();
        }
    }
}

/// What is left of a console at its end: output that may not have been written yet.
pub struct LastWords {
    stdout: Writer,
    job_log: Option<JobLog>,
    signals: Signals,
    interrupted: bool,
}

impl LastWords {
    /// Writes the rest, for as long as that takes, or as somebody has patience: once
    /// interrupted it gives up soon. Says why something could not be written, if so.
    pub fn speak(self) -> Option<io::Error> {
        self.job_log.iter().for_each(JobLog::finish);
        while !self.stdout.drain(LAST_WORDS_TIME_MAX) {
            if self.interrupted || self.signals.interrupt().is_some() {
                break;
            }
        }
        self.stdout.failure()
    }
}
