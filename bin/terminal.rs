//! The terminal that somebody types lines at.
//!
//! It edits a line itself and hands it over when it is complete (canonical mode). Nobody else knows
//! what has been typed of one before that; [`Terminal::reveal`] makes it known all the same. From then
//! on the terminal holds only what follows, and could no longer erase what was revealed. So it is
//! told to hand over each erasure, which it does not know as one then, and [`Terminal::edit`] erases.

use std::fs::File;
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use memchr::memrchr;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, ioctl_fionread};
use rustix::process::getpgrp;
use rustix::termios::{
    LocalModes, OptionalActions, QueueSelector, SpecialCodeIndex, Termios, tcflush, tcgetattr,
    tcgetpgrp, tcsetattr,
};

/// The number of a special character that there is none of.
const NONE: u8 = 0;

/// What is changed while the reader has the beginning of a line.
const CHANGED: [SpecialCodeIndex; 4] = [
    SpecialCodeIndex::VERASE,
    SpecialCodeIndex::VKILL,
    SpecialCodeIndex::VEOL,
    SpecialCodeIndex::VEOL2,
];

/// A terminal, for as long as this program reads from it.
#[derive(Debug)]
pub struct Terminal {
    file: File,
    /// The characters that erase the last one, and the line.
    erasing: [u8; 2],
    keys: Mutex<Keys>,
}

/// Whose it is to erase.
#[derive(Debug)]
enum Keys {
    /// The terminal's.
    Own,
    /// The reader's. The special characters must be put back to these.
    Lent([u8; 4]),
    /// The terminal's for ever.
    Returned,
}

/// The terminal of this program, to leave it whatever else goes on.
static IN_USE: OnceLock<Arc<Terminal>> = OnceLock::new();

/// Leaves the terminal that is in use, if one is, as it was found, for good.
pub fn leave() {
    if let Some(terminal) = IN_USE.get() {
        terminal.leave();
    }
}

impl Terminal {
    /// The terminal that this file is, if it is one. The program is to [`leave`] it at its end.
    pub fn enter(file: &File) -> Option<Arc<Terminal>> {
        let terminal = Arc::new(Terminal::of(file)?);
        // Nobody types at two.
        let _ = IN_USE.set(Arc::clone(&terminal));
        Some(terminal)
    }

    fn of(file: &File) -> Option<Terminal> {
        let file = Some(file).filter(|file| file.is_terminal())?.try_clone().ok()?;
        let codes = tcgetattr(&file).ok()?.special_codes;
        let erasing = [codes[SpecialCodeIndex::VERASE], codes[SpecialCodeIndex::VKILL]];
        Some(Terminal { file, erasing, keys: Mutex::new(Keys::Own) })
    }

    /// Whether it edits lines.
    pub fn is_canonical(&self) -> bool {
        let _not_for_a_moment = self.lock();
        self.modes().is_some_and(|modes| is_canonical(&modes))
    }

    /// Hands what has been typed of a line to whoever reads, and lends the keys with it. Does nothing
    /// while there are whole lines to read.
    pub fn reveal(&self) {
        let mut keys = self.lock();
        if self.has_line() {
            return;
        }
        let Some(mut modes) = self.modes().filter(is_canonical) else { return };
        // Without lines, all that was typed can be read; and what can be read stays so when there are
        // lines again.
        modes.local_modes.remove(LocalModes::ICANON);
        self.set(&modes);
        if ioctl_fionread(&self.file).is_ok_and(|length| length > 0) {
            self.lend(&mut keys, &mut modes);
        }
        modes.local_modes.insert(LocalModes::ICANON);
        self.set(&modes);
    }

    /// Adds what was read to `lines`, of which the last has no end, and erases of that one what the
    /// user has erased.
    pub fn edit(&self, lines: &mut Vec<u8>, read: &[u8]) {
        let [erase, kill] = self.erasing;
        for byte in read {
            match *byte {
                byte if byte == NONE => lines.push(byte),
                byte if byte == erase => {
                    let line = last_line(lines);
                    let character = lines[line..].iter().rposition(|byte| begins_character(*byte));
                    lines.truncate(line + character.unwrap_or(0));
                }
                byte if byte == kill => lines.truncate(last_line(lines)),
                byte => lines.push(byte),
            }
        }
    }

    /// Says whether the reader has the beginning of a line, and so must be handed every erasure.
    pub fn lend_keys(&self, lend: bool) {
        let mut keys = self.lock();
        if !lend && self.has_line() {
            // Which may be the beginning of one that has been revealed; the reader will say.
            return;
        }
        let Some(mut modes) = self.modes().filter(is_canonical) else { return };
        let changed =
            if lend { self.lend(&mut keys, &mut modes) } else { take_back(&mut keys, &mut modes) };
        if changed {
            self.set(&modes);
        }
    }

    /// Drops what has been typed and not been read. The keys are its own again.
    pub fn clear(&self) {
        if self.is_in_foreground() {
            // A terminal that is gone holds nothing.
            let _ = tcflush(&self.file, QueueSelector::IFlush);
        }
        self.lend_keys(false);
    }

    /// Leaves the terminal as it was found, for good.
    fn leave(&self) {
        let mut keys = self.lock();
        if let Some(mut modes) = self.modes()
            && take_back(&mut keys, &mut modes)
        {
            self.set(&modes);
        }
        *keys = Keys::Returned;
    }

    fn lend(&self, keys: &mut Keys, modes: &mut Termios) -> bool {
        let [erase, kill] = self.erasing;
        let lends = matches!(keys, Keys::Own) && erase != NONE;
        if lends {
            *keys = Keys::Lent(CHANGED.map(|index| modes.special_codes[index]));
            put(modes, [NONE, NONE, erase, kill]);
        }
        lends
    }

    /// Whether a whole line, or the end, can be read.
    fn has_line(&self) -> bool {
        let mut fds = [PollFd::new(&self.file, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
    }

    fn lock(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn modes(&self) -> Option<Termios> {
        tcgetattr(&self.file).ok()
    }

    /// Whether it is this program that is typed at. One that has no job control is.
    fn is_in_foreground(&self) -> bool {
        match tcgetpgrp(self.file.as_fd()) {
            Ok(group) => group == getpgrp(),
            Err(error) => error == Errno::NOTTY,
        }
    }

    /// Sets the modes, but not while others use the terminal, which would stop this process.
    fn set(&self, modes: &Termios) {
        if self.is_in_foreground() {
            // A terminal that is gone needs none.
            let _ = tcsetattr(&self.file, OptionalActions::Now, modes);
        }
    }
}

/// Where the last of these lines begins.
fn last_line(lines: &[u8]) -> usize {
    memrchr(b'\n', lines).map_or(0, |end| end + 1)
}

/// Whether this is not one of the further bytes of a character in UTF-8.
fn begins_character(byte: u8) -> bool {
    !(0x80..0xc0).contains(&byte)
}

fn is_canonical(modes: &Termios) -> bool {
    modes.local_modes.contains(LocalModes::ICANON)
}

fn take_back(keys: &mut Keys, modes: &mut Termios) -> bool {
    let Keys::Lent(codes) = *keys else { return false };
    *keys = Keys::Own;
    put(modes, codes);
    true
}

fn put(modes: &mut Termios, codes: [u8; 4]) {
    for (index, code) in CHANGED.into_iter().zip(codes) {
        modes.special_codes[index] = code;
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};

    use super::*;

    /// What is typed at, and the terminal.
    fn terminal() -> (File, Terminal) {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let keyboard = openpt(flags).unwrap();
        unlockpt(&keyboard).unwrap();
        let file = File::from(ioctl_tiocgptpeer(&keyboard, flags).unwrap());
        (keyboard.into(), Terminal::of(&file).unwrap())
    }

    fn read(terminal: &Terminal) -> String {
        let mut bytes = [0; 100];
        let length = (&terminal.file).read(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    fn codes(terminal: &Terminal) -> [u8; 4] {
        let modes = terminal.modes().unwrap();
        CHANGED.map(|index| modes.special_codes[index])
    }

    #[test]
    fn what_is_typed_can_be_read_before_the_line_ends() {
        let (mut keyboard, terminal) = terminal();
        let before = codes(&terminal);
        terminal.reveal();
        assert_eq!(codes(&terminal), before);
        keyboard.write_all(b"ping 12\x7f").unwrap();
        terminal.reveal();
        assert_eq!(read(&terminal), "ping 1");
        keyboard.write_all(b"7\x7f2\nnext").unwrap();
        assert_eq!(read(&terminal), "7\x7f");
        terminal.reveal();
        assert_eq!(read(&terminal), "2\n");
        terminal.lend_keys(false);
        assert_eq!(codes(&terminal), before);
        terminal.reveal();
        assert_eq!(read(&terminal), "next");
        assert!(terminal.is_canonical());
    }

    #[test]
    fn the_end_that_was_typed_stays_one() {
        let (mut keyboard, terminal) = terminal();
        keyboard.write_all(b"\x04").unwrap();
        terminal.reveal();
        assert_eq!(read(&terminal), "");
        keyboard.write_all(b"line\n").unwrap();
        assert_eq!(read(&terminal), "line\n");
    }

    #[test]
    fn what_was_typed_is_dropped_and_the_keys_come_back() {
        let (mut keyboard, terminal) = terminal();
        let before = codes(&terminal);
        keyboard.write_all(b"remove 1").unwrap();
        terminal.reveal();
        assert_eq!(read(&terminal), "remove 1");
        keyboard.write_all(b"2\nremove 3").unwrap();
        terminal.clear();
        assert_eq!(codes(&terminal), before);
        keyboard.write_all(b"ping 1\n").unwrap();
        assert_eq!(read(&terminal), "ping 1\n");
    }

    #[test]
    fn lent_keys_are_handed_over_and_come_back() {
        let (mut keyboard, terminal) = terminal();
        let before = codes(&terminal);
        terminal.lend_keys(true);
        terminal.lend_keys(true);
        keyboard.write_all(b"ab\x7f").unwrap();
        assert_eq!(read(&terminal), "ab\x7f");
        keyboard.write_all(b"c\x15").unwrap();
        assert_eq!(read(&terminal), "c\x15");
        terminal.lend_keys(false);
        assert_eq!(codes(&terminal), before);
        keyboard.write_all(b"ab\x7fc\n").unwrap();
        assert_eq!(read(&terminal), "ac\n");

        terminal.lend_keys(true);
        terminal.leave();
        terminal.lend_keys(true);
        assert_eq!(codes(&terminal), before);
    }

    #[test]
    fn what_was_erased_is_gone() {
        let (_keyboard, terminal) = terminal();
        for (beginning, read, expected) in [
            ("ping", " 1\n", "ping 1\n"),
            ("pint", "\x7fg 1", "ping 1"),
            ("ží", "\x7f", "ž"),
            ("木🌳", "\x7f\x7f", ""),
            ("a", "\x7f\x7f\x7fb", "b"),
            ("remove 1", "\x15ping 1\n", "ping 1\n"),
            ("remove 1", "\nping\x7f\x7f\x7f\x7f\x7f", "remove 1\n"),
            ("remove 1", "\nping\x15", "remove 1\n"),
            ("a\0", "b\0", "a\0b\0"),
        ] {
            let mut lines = beginning.as_bytes().to_vec();
            terminal.edit(&mut lines, read.as_bytes());
            assert_eq!(String::from_utf8(lines).unwrap(), expected);
        }
    }
}
