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
    use super::escaped;

    #[test]
    fn what_a_terminal_would_obey_is_shown_instead() {
        assert_eq!(escaped("plain ünïcödé 文字 🦀\tx".as_bytes()), "plain ünïcödé 文字 🦀\tx");
        assert_eq!(escaped(b"\x1b[2J\r\n\x07"), "\\u{1b}[2J\\r\\n\\u{7}");
        assert_eq!(escaped("\u{9b}31m \u{202e}abc".as_bytes()), "\\u{9b}31m \\u{202e}abc");
        assert_eq!(escaped(b"ok \xff\xfe"), "ok \\xff\\xfe");
    }
}
