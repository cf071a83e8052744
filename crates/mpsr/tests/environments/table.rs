//! The table in `docs/environments.md`: rows are environments, columns are commands.
//!
//! | cell | means |
//! |---|---|
//! | `works` | as on a plain machine |
//! | `` `--option …` `` | fails with status 1 and an explanation, or differs; works with these options |
//! | `no: "words"` | ends with status 1, and standard error has these words |
//! | `"words"` | runs, and what differs from a plain machine contains these words |
//! | `–` | the command has nothing to do with this environment; not run |

use std::{collections::BTreeMap, fs, path::Path};

use crate::Outcome;

pub(crate) struct Table {
    columns: Vec<String>,
    rows: Vec<String>,
    cells: BTreeMap<(String, String), Cell>,
}

#[derive(Debug)]
pub(crate) struct Cell(String);

/// What to run for a cell.
pub(crate) struct Plan {
    /// The outcome of the command without further options.
    pub(crate) without: Outcome,
    /// Options with which it must work.
    pub(crate) options: Option<Vec<String>>,
}

impl Table {
    pub(crate) fn read() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/environments.md");
        let page = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut lines = page.lines().skip_while(|line| !line.starts_with("| environment |"));
        let cells = |line: &str| -> Vec<String> {
            line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
        };
        let mut columns = cells(lines.next().expect("docs/environments.md has the table"));
        columns.remove(0);
        let columns: Vec<String> = columns.into_iter().map(|column| column.replace('`', "")).collect();
        let mut table = Self { columns, rows: Vec::new(), cells: BTreeMap::new() };
        for line in lines.skip(1).take_while(|line| line.starts_with('|')) {
            let mut row = cells(line).into_iter();
            let name = row.next().expect("a row has a name");
            let row: Vec<String> = row.collect();
            assert_eq!(row.len(), table.columns.len(), "{line}");
            for (column, cell) in table.columns.iter().zip(row) {
                table.cells.insert((name.clone(), column.clone()), Cell(cell));
            }
            table.rows.push(name);
        }
        table
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = &str> {
        self.rows.iter().map(String::as_str)
    }

    pub(crate) fn columns(&self) -> Vec<&str> {
        self.columns.iter().map(String::as_str).collect()
    }

    pub(crate) fn cell(&self, row: &str, column: &str) -> &Cell {
        self.cells
            .get(&(row.to_owned(), column.to_owned()))
            .unwrap_or_else(|| panic!("docs/environments.md has no cell {row:?}, {column:?}"))
    }
}

impl Cell {
    /// `None` where there is nothing to run.
    pub(crate) fn plan(&self) -> Option<Plan> {
        let text = self.0.as_str();
        let quoted = |text: &str| text.trim().trim_matches('"').to_owned();
        if text == "–" {
            return None;
        }
        if text == "works" {
            return Some(Plan { without: Outcome::Works, options: None });
        }
        if let Some(words) = text.strip_prefix("no:") {
            return Some(Plan { without: Outcome::Fails { status: 1, text: quoted(words) }, options: None });
        }
        if let Some(options) = text.strip_prefix('`') {
            let options = options.trim_end_matches('`').split(' ').map(str::to_owned).collect();
            return Some(Plan { without: Outcome::NotWithout, options: Some(options) });
        }
        assert!(text.starts_with('"'), "a cell that says nothing: {text:?}");
        Some(Plan { without: Outcome::Differs(quoted(text)), options: None })
    }
}
