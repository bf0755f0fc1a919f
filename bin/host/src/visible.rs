//! What of a text can be seen.

use std::borrow::Cow;
use std::fmt::Write;

/// The text with what can't be seen, or what a terminal would obey, written out: `\x1b` for a control
/// character or a byte that is not UTF-8, `\u{202e}` for one that has no width or turns the
/// direction of others. Line ends and tabs stay.
pub fn visible(text: &[u8]) -> Cow<'_, [u8]> {
    if text.iter().all(|byte| is_plain(*byte)) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + text.len() / 8);
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars() {
            write_out(character, &mut shown);
        }
        for byte in chunk.invalid() {
            write_byte(*byte, &mut shown);
        }
    }
    Cow::Owned(shown.into_bytes())
}

fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~' | b'\n' | b'\t')
}

fn write_out(character: char, to: &mut String) {
    match character {
        '\n' | '\t' => to.push(character),
        '\0'..='\x1f' | '\x7f' => write_byte(character as u8, to),
        _ if is_hidden(character) => to.extend(character.escape_unicode()),
        _ => to.push(character),
    }
}

fn write_byte(byte: u8, to: &mut String) {
    write!(to, "\\x{byte:02x}").expect("writing to a String can't fail");
}

/// Whether a character beyond ASCII is a control character, has no width of its own, or turns or ends
/// a line: Unicode's Cc, Cf, Zl, Zp and `Default_Ignorable_Code_Point`, without the selectors of
/// variants, which only choose a picture.
fn is_hidden(character: char) -> bool {
    matches!(character,
        '\u{80}'..='\u{9f}' | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}'
        | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        String::from_utf8(visible(text.as_bytes()).into_owned()).unwrap()
    }

    #[test]
    fn what_can_be_seen_stays() {
        for text in ["", "Ok: 1\n", "a\tb\\x1b\n", "žluťoučký 木 🌳 ❤\u{fe0f} é مرحبا"]
        {
            assert_eq!(shown(text), text);
        }
        assert!(matches!(visible(b"Ok:1: 'text'\n"), Cow::Borrowed(_)));
    }

    #[test]
    fn what_can_t_is_written_out() {
        for (text, expected) in [
            ("a\x1b[2Jb\0\r\x7f\n", "a\\x1b[2Jb\\x00\\x0d\\x7f\n"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("abc\u{202e}fed\u{2066}", "abc\\u{202e}fed\\u{2066}"),
            ("pay\u{200b}load\u{feff}", "pay\\u{200b}load\\u{feff}"),
            ("\u{e0041}\u{2028}", "\\u{e0041}\\u{2028}"),
        ] {
            assert_eq!(shown(text), expected);
        }
        assert_eq!(&*visible(b"\x9b1m \xff\xc3"), b"\\x9b1m \\xff\\xc3");
    }

    #[test]
    fn nothing_that_a_terminal_would_obey_is_left() {
        let all: String = ('\0'..=char::MAX).collect();
        let text = shown(&all);
        assert!(!text.chars().any(|it| it.is_control() && !matches!(it, '\n' | '\t')));
    }
}
