//! Text as a table, whose first column gets the space that the others leave.

use crate::width::Width;

/// The space between columns.
const GAP: usize = 2;
/// The minimum width of the first column.
const NARROW: usize = 12;

/// Lines of the table: the heads, then the rows.
///
/// Columns are as wide as their content. If that is too wide for the terminal, long cells of the first column get their
/// own line, with the rest of the row below, so that no text is left out. Without a terminal, each row is one line of
/// any length, for programs that read it.
pub(crate) fn lines<const N: usize>(heads: [&str; N], rows: &[[String; N]], terminal: Option<Width>) -> Vec<String> {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([heads[column].chars().count()]).max().unwrap_or(0)
    };
    let mut widths: Vec<usize> = (0..N).map(width).collect();
    let others: usize = widths.iter().skip(1).map(|width| width + GAP).sum();
    if let Some(first) = widths.first_mut()
        && let Some(Width(columns)) = terminal
    {
        *first = (*first).min(columns.saturating_sub(others).max(NARROW));
    }
    let head = line(heads.map(str::to_owned), &widths);
    let lines = [head].into_iter().chain(rows.iter().map(|row| line(row.clone(), &widths)));
    lines.flat_map(|line| line.split('\n').map(str::to_owned).collect::<Vec<_>>()).collect()
}

fn line<const N: usize>(cells: [String; N], widths: &[usize]) -> String {
    let mut text = String::new();
    let mut end = 0;
    for (number, (cell, width)) in cells.iter().zip(widths).enumerate() {
        text.push_str(cell);
        let len = cell.chars().count();
        if number == 0 && len > *width {
            text.push('\n');
            text.extend(std::iter::repeat_n(' ', *width));
        } else {
            text.extend(std::iter::repeat_n(' ', width.saturating_sub(len)));
        }
        end = if cell.is_empty() { end } else { text.trim_end().len() };
        text.extend(std::iter::repeat_n(' ', GAP));
    }
    text.truncate(end);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &[[&str; 3]]) -> String {
        table_for(rows, Some(Width(80)))
    }

    fn table_for(rows: &[[&str; 3]], terminal: Option<Width>) -> String {
        let rows: Vec<_> = rows.iter().map(|row| row.map(str::to_owned)).collect();
        lines(["NAME", "PID", "WHAT"], &rows, terminal).join("\n")
    }

    #[test]
    fn columns_are_aligned() {
        assert_eq!(
            table(&[["a", "1", "x"], ["longer", "12345", ""]]),
            "NAME    PID    WHAT\n\
             a       1      x\n\
             longer  12345"
        );
    }

    #[test]
    fn a_cell_that_is_too_long_has_a_line_of_its_own() {
        let long = "n".repeat(100);
        let shown = table(&[[&long, "1", "x"], ["a", "2", "y"]]);
        let lines: Vec<_> = shown.lines().collect();
        assert_eq!(lines.len(), 4, "{shown}");
        assert_eq!(lines[1], long);
        assert_eq!(lines[2].find('1'), lines[0].find("PID"), "{shown}");
        assert_eq!(lines[3].find('2'), lines[0].find("PID"), "{shown}");
        assert!(lines.iter().all(|line| line.len() <= 80 || **line == long), "{shown}");
    }

    #[test]
    fn a_program_that_reads_it_has_one_line_for_each_row() {
        let long = "n".repeat(100);
        let shown = table_for(&[[&long, "1", "x"], ["a", "2", "y"]], None);
        let rows: Vec<Vec<_>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows, [["NAME", "PID", "WHAT"], [&long, "1", "x"], ["a", "2", "y"]]);
    }

    #[test]
    fn an_empty_table_has_its_heads() {
        assert_eq!(table(&[]), "NAME  PID  WHAT");
    }
}
