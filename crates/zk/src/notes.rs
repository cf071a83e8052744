//! Standard error.

use std::io::{self, Write as _};

/// Writes a line to standard error, with everything escaped that a terminal would interpret or hide.
pub(crate) fn note(line: &str) {
    // If standard error cannot be written, there is no place left to say so.
    let _ = writeln!(io::stderr(), "{}", terminal_text::escaped_words(line));
}
