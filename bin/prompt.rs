//! The console's prompt at a terminal.

use std::env;

use hoptree_host::visible::visible;

/// What asks for the next command.
const PROMPT: &[u8] = b"> ";

/// Goes to the beginning of the line and erases it, for text that comes while the prompt stands.
const ERASE: &[u8] = b"\r\x1b[K";

/// Keeps track of whether the prompt stands on the screen, and of what is known of the line that is
/// being typed behind it. Both are erased, or else left, when text comes, and shown again below it.
#[derive(Debug, Default)]
pub struct Prompt {
    enabled: bool,
    /// Whether the terminal obeys escape sequences.
    escapes: bool,
    stands: bool,
    /// The beginning of the line, as far as it has been read.
    typed: Vec<u8>,
    /// Whether the screen shows something else behind the prompt.
    outdated: bool,
}

impl Prompt {
    /// A prompt that is shown only when `enabled`, and otherwise changes nothing in the output. No
    /// escape sequence is written unless the terminal obeys `escapes`.
    pub fn new(enabled: bool, escapes: bool) -> Prompt {
        Prompt { enabled, escapes, ..Prompt::default() }
    }

    /// The user has ended the line that the prompt stood on.
    pub fn line_ended(&mut self) {
        self.stands = false;
        self.outdated = false;
        self.typed.clear();
    }

    /// The line that is being typed is dropped, which leaves it on the screen: adds what goes on below
    /// it, or, when there is no prompt, what erases whatever the terminal itself has shown.
    pub fn line_dropped(&mut self, screen: &mut Vec<u8>) {
        if self.stands {
            screen.push(b'\n');
        } else if self.enabled {
            self.erase(screen);
        }
        self.line_ended();
    }

    /// The user has typed this of the line, and has not ended it.
    pub fn line_begun(&mut self, typed: &[u8]) {
        self.typed = visible(typed).into_owned();
        self.outdated = self.stands;
    }

    /// Adds to `screen` what shows `text`, whole lines, and then the prompt, if it is `wanted`. Says
    /// whether that is shown anew: of a line that is being typed, the screen may not show all then.
    pub fn show(&mut self, text: &[u8], wanted: bool, screen: &mut Vec<u8>) -> bool {
        if self.stands && (!text.is_empty() || self.outdated) {
            self.erase(screen);
            self.stands = false;
            self.outdated = false;
        }
        screen.extend_from_slice(text);
        let shown = self.enabled && wanted && !self.stands;
        if shown {
            screen.extend_from_slice(PROMPT);
            screen.extend_from_slice(&self.typed);
            self.stands = true;
        }
        shown
    }

    /// Adds what leaves the cursor at the beginning of a line.
    pub fn end(&mut self, screen: &mut Vec<u8>) {
        if self.stands {
            screen.push(b'\n');
            self.stands = false;
        }
    }

    fn erase(&self, screen: &mut Vec<u8>) {
        if self.escapes {
            screen.extend_from_slice(ERASE);
            return;
        }
        // What has been typed since it was shown is not known, so that it could be overwritten.
        screen.push(b'\n');
    }
}

/// Whether the user's terminal obeys escape sequences, as far as its name tells.
pub fn obeys_escapes() -> bool {
    env::var_os("TERM").is_some_and(|name| !name.is_empty() && name != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(prompt: &mut Prompt, text: &str, wanted: bool) -> String {
        let mut screen = Vec::new();
        prompt.show(text.as_bytes(), wanted, &mut screen);
        String::from_utf8(screen).unwrap()
    }

    #[test]
    fn a_disabled_prompt_changes_nothing() {
        let mut prompt = Prompt::new(false, true);
        assert_eq!(shown(&mut prompt, "", true), "");
        assert_eq!(shown(&mut prompt, "Ok\n", true), "Ok\n");
        prompt.line_begun(b"ping");
        assert_eq!(shown(&mut prompt, "Ok\n", true), "Ok\n");
        let mut screen = Vec::new();
        prompt.end(&mut screen);
        assert_eq!(screen, b"");
    }

    #[test]
    fn it_is_shown_once_and_anew_after_each_line() {
        let mut prompt = Prompt::new(true, true);
        assert_eq!(shown(&mut prompt, "", true), "> ");
        assert_eq!(shown(&mut prompt, "", true), "");
        prompt.line_ended();
        assert_eq!(shown(&mut prompt, "", false), "");
        assert_eq!(shown(&mut prompt, "Ok\n", true), "Ok\n> ");
    }

    #[test]
    fn text_replaces_a_standing_prompt() {
        let mut prompt = Prompt::new(true, true);
        shown(&mut prompt, "", true);
        assert_eq!(shown(&mut prompt, "Ok: 1\n", true), "\r\x1b[KOk: 1\n> ");
        assert_eq!(shown(&mut prompt, "Ok: 1\n", false), "\r\x1b[KOk: 1\n");
        assert_eq!(shown(&mut prompt, "Ok: 0\n", false), "Ok: 0\n");
    }

    #[test]
    fn what_has_been_typed_stands_behind_it() {
        let mut prompt = Prompt::new(true, true);
        shown(&mut prompt, "", true);
        prompt.line_begun(b"ping\x1b");
        assert_eq!(shown(&mut prompt, "", true), "\r\x1b[K> ping\\x1b");
        assert_eq!(shown(&mut prompt, "", true), "");
        assert_eq!(shown(&mut prompt, "Ok\n", true), "\r\x1b[KOk\n> ping\\x1b");
        prompt.line_begun(b"");
        assert_eq!(shown(&mut prompt, "", true), "\r\x1b[K> ");
        prompt.line_begun(b"ping");
        prompt.line_ended();
        assert_eq!(shown(&mut prompt, "Ok\n", true), "Ok\n> ");
    }

    #[test]
    fn a_terminal_that_obeys_no_escapes_gets_none() {
        let mut prompt = Prompt::new(true, false);
        shown(&mut prompt, "", true);
        assert_eq!(shown(&mut prompt, "Ok\n", true), "\nOk\n> ");
        prompt.line_begun(b"ping");
        assert_eq!(shown(&mut prompt, "", true), "\n> ping");
        assert_eq!(shown(&mut prompt, "Ok\n", true), "\nOk\n> ping");
    }

    #[test]
    fn a_line_that_was_dropped_stays_above_the_next_prompt() {
        let mut prompt = Prompt::new(true, true);
        shown(&mut prompt, "", true);
        prompt.line_begun(b"ping");
        let mut screen = Vec::new();
        prompt.line_dropped(&mut screen);
        assert_eq!(screen, b"\n");
        assert_eq!(shown(&mut prompt, "Ok\n", true), "Ok\n> ");

        // The terminal may have shown what was typed while there was no prompt.
        prompt.line_ended();
        screen.clear();
        prompt.line_dropped(&mut screen);
        assert_eq!(screen, b"\r\x1b[K");

        screen.clear();
        Prompt::new(false, true).line_dropped(&mut screen);
        assert_eq!(screen, b"");
    }

    #[test]
    fn the_end_leaves_no_prompt_behind() {
        let mut prompt = Prompt::new(true, true);
        shown(&mut prompt, "", true);
        let mut screen = Vec::new();
        prompt.end(&mut screen);
        prompt.end(&mut screen);
        assert_eq!(screen, b"\n");
    }
}
