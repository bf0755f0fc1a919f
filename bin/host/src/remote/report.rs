//! What the other machine says, a line each, behind a mark that nobody else knows.

use hoptree_core::Exit;

/// How many bytes of a line are kept.
const LINE_BYTES_MAX: usize = 4096;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// The program must be sent.
    Need,
    /// It won't work. The first word says what went wrong, the rest is what the system there said.
    Failed(String, String),
    /// The guard runs, and waits for the boot message.
    Ready,
    /// The node's process was started.
    Started,
    /// The node's process has ended, with its last words if it had any.
    Ended(Exit, Option<String>),
}

impl Report {
    /// The line. It begins with a line end, since what was printed before may lack one.
    pub fn line(&self, mark: &str) -> String {
        let one_line = |text: &str| text.replace(['\n', '\r'], " ");
        let said = match self {
            Report::Need => "need".to_owned(),
            Report::Failed(what, why) => format!("failed {what} {}", one_line(why)),
            Report::Ready => "ready".to_owned(),
            Report::Started => "started".to_owned(),
            Report::Ended(exit, words) => {
                let (kind, number) = match exit {
                    Exit::Status(status) => ("status", status),
                    Exit::Signal(signal) => ("signal", signal),
                };
                match words {
                    Some(words) => format!("ended {kind} {number} {}", one_line(words)),
                    None => format!("ended {kind} {number}"),
                }
            }
        };
        format!("\n{mark} {said}\n")
    }

    fn parse(said: &str) -> Option<Report> {
        let mut words = said.splitn(2, ' ');
        let (word, rest) = (words.next()?, words.next().unwrap_or_default());
        match word {
            "need" => Some(Report::Need),
            "ready" => Some(Report::Ready),
            "started" => Some(Report::Started),
            "failed" => {
                let (what, why) = rest.split_once(' ').unwrap_or((rest, ""));
                Some(Report::Failed(what.to_owned(), why.to_owned()))
            }
            "ended" => {
                let mut words = rest.splitn(3, ' ');
                let (kind, number) = (words.next()?, words.next()?.parse().ok()?);
                let exit = match kind {
                    "status" => Exit::Status(number),
                    "signal" => Exit::Signal(number),
                    _ => return None,
                };
                Some(Report::Ended(exit, words.next().map(str::to_owned)))
            }
            _ => None,
        }
    }
}

/// Takes bytes in and gives the lines that they make.
#[derive(Debug, Default)]
pub struct LineReader {
    begun: Vec<u8>,
}

impl LineReader {
    /// Takes more in, and tells each line that is whole now. What is longer than any line should be is
    /// cut.
    pub fn take(&mut self, bytes: &[u8], mut line: impl FnMut(&str)) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = LINE_BYTES_MAX.saturating_sub(self.begun.len());
            self.begun.extend_from_slice(&part[..part.len().min(room)]);
            if part.ends_with(b"\n") {
                line(String::from_utf8_lossy(&self.begun).trim_end());
                self.begun.clear();
            }
        }
    }
}

/// The report in a line, if there is one.
pub fn report(line: &str, mark: &str) -> Option<Report> {
    Report::parse(line.strip_prefix(mark)?.strip_prefix(' ')?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_found_among_what_others_print() {
        let reports = [
            Report::Need,
            Report::Ready,
            Report::Started,
            Report::Failed("room".to_owned(), "No space left".to_owned()),
            Report::Ended(Exit::Status(0), None),
            Report::Ended(Exit::Signal(9), Some("a bug".to_owned())),
        ];
        let mut printed = "Welcome!\r\nneed".to_owned();
        for report in &reports {
            printed += &report.line("m");
            printed += "noise";
        }
        let (mut reader, mut found) = (LineReader::default(), Vec::new());
        for byte in printed.bytes() {
            reader.take(&[byte], |line| found.extend(report(line, "m")));
        }
        assert_eq!(found, reports);
    }

    #[test]
    fn what_is_no_report_is_none() {
        for line in ["", "m", "m ", "mneed", "m ended", "m ended status x", "m ended alive 1"] {
            assert_eq!(report(line, "m"), None, "{line}");
        }
        let words = Report::Ended(Exit::Status(1), Some("a\nb".to_owned())).line("m");
        assert_eq!(words, "\nm ended status 1 a b\n");
    }

    #[test]
    fn a_line_without_end_fills_no_memory() {
        let mut reader = LineReader::default();
        (0..100).for_each(|_| reader.take(&[b'x'; 1000], |line| panic!("{line}")));
        assert_eq!(reader.begun.len(), LINE_BYTES_MAX);
        let mut lines = 0;
        reader.take(b"\nnext\n", |_| lines += 1);
        assert_eq!(lines, 2);
    }
}
