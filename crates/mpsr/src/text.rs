//! Text in rows that fit a terminal.

pub(crate) use terminal_text::{escaped, escaped_cell, escaped_json, escaped_words};

use crate::width::Width;

/// Begins each row of a line after the first, on standard output. None of our own lines begins with it.
pub(crate) const MARGIN: &str = "     | ";

/// A line broken into rows that fit, so that the terminal does not break it: each row after the first begins with
/// `margin`. If the terminal broke the line, the rest would begin at the left edge, where only our own text may be.
pub(crate) fn wrapped(line: &str, Width(columns): Width, margin: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut column = 0;
    for c in line.chars() {
        let width = width(c);
        if column + width > columns {
            text.push('\n');
            text.push_str(margin);
            column = margin.len();
        }
        text.push(c);
        column += width;
    }
    text
}

/// The same for our own text, broken at a space if possible.
pub(crate) fn wrapped_words(line: &str, Width(columns): Width, margin: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut column = 0;
    // Where the last space of this row is in `text`, and the column after it.
    let mut space = None;
    let mut is_indent = true;
    for c in line.chars() {
        let width = width(c);
        if column + width > columns {
            match space.take() {
                // The space at the end of a row is invisible, so the line break replaces it.
                Some((at, behind)) => {
                    text.replace_range(at..=at, &format!("\n{margin}"));
                    column = margin.len() + column - behind;
                }
                None => {
                    text.push('\n');
                    text.push_str(margin);
                    column = margin.len();
                }
            }
        }
        column += width;
        is_indent &= c == ' ';
        if c == ' ' && !is_indent {
            space = Some((text.len(), column));
        }
        text.push(c);
    }
    text
}

/// The maximum number of columns that a character takes. Terminals differ, but none uses more than this.
const fn width(c: char) -> usize {
    match c {
        '\t' => 8,
        c if c.is_ascii() => 1,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_words_are_broken_at_spaces_and_what_has_none_anywhere() {
        assert_eq!(wrapped_words("one two three four", Width(10), "  "), "one two\n  three\n  four");
        assert_eq!(wrapped_words("   1 + abcdefghijklmnop", Width(12), "  "), "   1 +\n  abcdefghij\n  klmnop");
        assert_eq!(wrapped_words("          abcdef", Width(12), "  "), "          ab\n  cdef");
        for line in
            ["x".repeat(1000), "文字 ".repeat(300), "a b\t c".repeat(200), "  words ".repeat(100), " ".repeat(200)]
        {
            let rows = wrapped_words(&line, Width(80), "     ");
            assert!(rows.lines().skip(1).all(|row| row.starts_with("     ")), "{rows}");
            assert!(rows.lines().all(|row| row.chars().map(width).sum::<usize>() <= 80), "{rows}");
            let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            assert_eq!(letters(&rows), letters(&line));
        }
    }

    #[test]
    fn no_row_is_wider_than_the_terminal_and_each_that_continues_is_marked() {
        assert_eq!(wrapped("   1 | abcdefghijklmn", Width(20), "     | "), "   1 | abcdefghijklm\n     | n");
        for line in
            ["x".repeat(1000), "文字".repeat(300), "a\tb".repeat(200), format!("{}   2 - closed", " ".repeat(80))]
        {
            let rows = wrapped(&line, Width(80), "     | ");
            let (first, others) = rows.split_once('\n').expect("it is too long");
            assert!(others.lines().all(|row| row.starts_with("     | ")), "{rows}");
            let columns = |row: &str| row.chars().map(width).sum::<usize>();
            assert!(rows.lines().all(|row| columns(row) <= 80), "{rows}");
            let text: String = others.lines().map(|row| row.strip_prefix("     | ").unwrap()).collect();
            assert_eq!(format!("{first}{text}"), line);
        }
    }
}
