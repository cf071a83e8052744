//! Makes text from other programs safe to show on a terminal, and keeps it readable.
//!
//! A name, a message or an error text that comes from another program can contain sequences that move the cursor, rewrite the
//! screen, hide characters or reverse their order. These functions replace everything that a terminal obeys or does not show,
//! and leave letters of all scripts, combining marks and emoji as they are.
//!
//! | function | for |
//! |---|---|
//! | [`escaped`] | bytes from another program |
//! | [`escaped_cell`] | the same, in a table or among your own words: it cannot be mistaken for the text next to it |
//! | [`escaped_words`] | your own sentence, in which escaped text already stands |
//! | [`escaped_json`] | a line of JSON, which stays the same JSON |
//!
//! ```
//! assert_eq!(terminal_text::escaped(b"\x1b[2J \xe6\x96\x87 \xff"), r"\u{1b}[2J 文 \xff");
//! ```
//!
//! # What this crate is not
//!
//! It does not wrap lines or measure widths, and it removes nothing. Escapes are unambiguous, because a backslash is escaped,
//! too. Whether you write to a terminal is for you to find out: text for a file or a pipe need not be escaped.

#![forbid(unsafe_code)]

use std::fmt::Write as _;

/// The README's code, compiled as it is printed.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// The text with everything escaped that a terminal would interpret or hide: control characters except the tab,
/// characters that reorder text or are invisible, and bytes that are not UTF-8. The backslash is escaped, too, so that
/// a text cannot look like one of our escapes.
#[must_use]
pub fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c == '\\' {
                text.push_str("\\\\");
            } else if is_plain(c) {
                text.push(c);
            } else {
                text.extend(c.escape_default());
            }
        }
        for byte in chunk.invalid() {
            write!(text, "\\x{byte:02x}").expect("a string takes everything");
        }
    }
    text
}

/// The same for a cell of a table, or for other text inside ours. Two spaces separate cells, so this also escapes a
/// leading, a trailing and a repeated space, and tabs: no name can imitate the text after it.
#[must_use]
pub fn escaped_cell(bytes: &[u8]) -> String {
    let text = escaped(bytes);
    let mut cell = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    let mut is_behind_space = true;
    while let Some(c) = characters.next() {
        let is_space = c.is_whitespace();
        if c == '\t' {
            cell.push_str("\\t");
        } else if is_space && (is_behind_space || characters.peek().is_none()) {
            cell.extend(c.escape_unicode());
        } else {
            cell.push(c);
        }
        is_behind_space = is_space;
    }
    cell
}

/// The same for our own text that already contains escaped text: the backslash stays as it is.
#[must_use]
pub fn escaped_words(words: &str) -> String {
    words.chars().fold(String::with_capacity(words.len()), |mut text, c| {
        if is_plain(c) {
            text.push(c)
        } else {
            text.extend(c.escape_default())
        }
        text
    })
}

/// The same for a line of JSON, which keeps its meaning: such characters can only be inside its strings.
#[must_use]
pub fn escaped_json(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    for c in line.chars() {
        if is_plain(c) {
            text.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(text, "\\u{unit:04x}").expect("a string takes everything");
            }
        }
    }
    text
}

fn is_plain(c: char) -> bool {
    match c {
        '\t' => true,
        ' '..='~' => true,
        // Spaces of other scripts, which are visible as spaces.
        '\u{a0}' | '\u{3000}' => true,
        // What Unicode calls default-ignorable, and an empty Braille cell: they are invisible.
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' => false,
        '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => false,
        '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' => false,
        '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}' => false,
        c => is_printable(c),
    }
}

/// Whether it is none of a control or format character, private, unassigned or a separator.
fn is_printable(c: char) -> bool {
    // The standard library has the tables, but exposes them only here. After another character, a combining one stays
    // itself.
    let mut pair = [0; 5];
    pair[0] = b'a';
    let end = 1 + c.encode_utf8(&mut pair[1..]).len();
    let pair = std::str::from_utf8(&pair[..end]).expect("two characters were encoded");
    pair.escape_debug().nth(1) == Some(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown_instead() {
        assert_eq!(escaped("plain ünïcödé 文字 🦀\tx 'q' \"q\"".as_bytes()), "plain ünïcödé 文字 🦀\tx 'q' \"q\"");
        assert_eq!(escaped(b"\x1b[2J\r\n\x07"), "\\u{1b}[2J\\r\\n\\u{7}");
        assert_eq!(escaped("\u{9b}31m \u{202e}abc".as_bytes()), "\\u{9b}31m \\u{202e}abc");
        assert_eq!(escaped(b"ok \xff\xfe"), "ok \\xff\\xfe");
    }

    #[test]
    fn what_cannot_be_seen_is_shown() {
        for c in "\u{ad}\u{34f}\u{61c}\u{115f}\u{1160}\u{17b5}\u{180e}\u{200b}\u{200d}\u{2028}\u{2066}\u{2800}\u{3164}\u{fe0f}\
                  \u{feff}\u{ffa0}\u{fff9}\u{fffb}\u{1d173}\u{e0041}\u{e0100}\u{e000}\u{f0000}\u{378}\u{110bd}\u{2003}"
            .chars()
        {
            assert_eq!(escaped(c.to_string().as_bytes()), format!("\\u{{{:x}}}", u32::from(c)));
        }
    }

    #[test]
    fn letters_with_marks_stay_as_they_are() {
        for text in ["e\u{301}", "क्षि", "ที่", "مُحَمَّد", "z\u{336}\u{301}", "漢字\u{3000}かな", "한글"]
        {
            assert_eq!(escaped(text.as_bytes()), text);
        }
    }

    #[test]
    fn an_escape_is_not_to_be_mistaken_for_a_text_that_looks_like_one() {
        assert_eq!(escaped(br"\u{1b}"), r"\\u{1b}");
        assert_eq!(escaped_words(r"\\u{1b}"), r"\\u{1b}");
        assert_eq!(escaped_words("\x1b"), r"\u{1b}");
    }

    #[test]
    fn a_cell_does_not_look_like_two() {
        for (text, cell) in [
            ("a b", "a b"),
            ("a.sock  live  stream", r"a.sock \u{20}live \u{20}stream"),
            ("   a ", r"\u{20}\u{20}\u{20}a\u{20}"),
            ("a\u{3000}\u{a0}b\tc", "a\u{3000}\\u{a0}b\\tc"),
            (" ", r"\u{20}"),
            ("", ""),
        ] {
            assert_eq!(escaped_cell(text.as_bytes()), cell);
        }
    }

    #[test]
    fn escaped_json_says_the_same() {
        let value = serde_json::json!({ "text": "\u{9b}31m \u{202e}abc \u{e0041} \x7f \\ plain ü 🦀 \u{3164}" });
        let line = escaped_json(&value.to_string());
        assert_eq!(line, r#"{"text":"\u009b31m \u202eabc \udb40\udc41 \u007f \\ plain ü 🦀 \u3164"}"#);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&line).unwrap(), value);
    }
}
