//! What others sent, made fit for a terminal.

use std::fmt::Write as _;

/// The text with everything escaped that a terminal would obey instead of show: control characters except the tab,
/// characters that reorder or hide text, and bytes that are not UTF-8.
pub(crate) fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if is_plain(c) {
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

/// The same for a cell of a table, where a tab has no place either.
pub(crate) fn escaped_cell(bytes: &[u8]) -> String {
    escaped(bytes).replace('\t', "\\t")
}

/// The same for a line of JSON, which stays the same JSON: what is escaped here can only be inside its strings.
pub(crate) fn escaped_json(line: &str) -> String {
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
        // Zero-width and bidirectional marks, separators of lines, the byte order mark, tags.
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => false,
        '\u{e0000}'..='\u{e007f}' | '\u{61c}' | '\u{ad}' => false,
        c => !c.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::{escaped, escaped_json};

    #[test]
    fn what_a_terminal_would_obey_is_shown_instead() {
        assert_eq!(escaped("plain ünïcödé 文字 🦀\tx".as_bytes()), "plain ünïcödé 文字 🦀\tx");
        assert_eq!(escaped(b"\x1b[2J\r\n\x07"), "\\u{1b}[2J\\r\\n\\u{7}");
        assert_eq!(escaped("\u{9b}31m \u{202e}abc".as_bytes()), "\\u{9b}31m \\u{202e}abc");
        assert_eq!(escaped(b"ok \xff\xfe"), "ok \\xff\\xfe");
    }

    #[test]
    fn escaped_json_says_the_same() {
        let value = serde_json::json!({ "text": "\u{9b}31m \u{202e}abc \u{e0041} \x7f \\ plain ü 🦀" });
        let line = escaped_json(&value.to_string());
        assert_eq!(line, r#"{"text":"\u009b31m \u202eabc \udb40\udc41 \u007f \\ plain ü 🦀"}"#);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&line).unwrap(), value);
    }
}
