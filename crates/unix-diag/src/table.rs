//! The sockets that have files, by their files.

use std::collections::HashMap;

use crate::dump::{Which, dump};
use crate::entry::{Entry, FileId, State};
use crate::error::Error;

/// One dump, kept: answers for any number of files.
///
/// Memory: about 50 bytes per socket of the machine that has a file.
#[derive(Debug, Clone, Default)]
pub struct Table {
    by_file: HashMap<FileId, Entry>,
}

impl Table {
    /// Reads the sockets that may serve, of the caller's network namespace.
    ///
    /// # Errors
    /// Whatever breaks the dump: half a table is none.
    pub fn read() -> Result<Self, Error> {
        dump(Which::Servers)?.collect()
    }

    /// Reads once more, and adds what the first time has not shown: for whoever is about to conclude something from what
    /// is missing. What both times lack was not there all the while between them. What has gone since the first stays.
    ///
    /// # Errors
    /// As [`read`](Self::read); the table is then as it was.
    pub fn read_again(&mut self) -> Result<(), Error> {
        let second = Self::read()?;
        self.extend(second.by_file.into_values());
        Ok(())
    }

    /// The socket bound to this file. That it has none does not prove that nobody serves there: see the front page.
    pub fn get(&self, file: FileId) -> Option<&Entry> {
        self.by_file.get(&file)
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (FileId, &Entry)> {
        self.by_file.iter().map(|(file, entry)| (*file, entry))
    }

    /// How many files have a socket.
    pub fn len(&self) -> usize {
        self.by_file.len()
    }

    /// Whether no file has one.
    pub fn is_empty(&self) -> bool {
        self.by_file.is_empty()
    }
}

impl Extend<Entry> for Table {
    /// Of several sockets with one file (a listener and the connections that it accepted) the one that listens stays.
    fn extend<I: IntoIterator<Item = Entry>>(&mut self, entries: I) {
        for entry in entries {
            let Some(file) = entry.file else { continue };
            let known = self.by_file.entry(file).or_insert(entry);
            if rank(entry.state) > rank(known.state) {
                *known = entry;
            }
        }
    }
}

impl FromIterator<Entry> for Table {
    fn from_iter<I: IntoIterator<Item = Entry>>(entries: I) -> Self {
        let mut table = Self::default();
        table.extend(entries);
        table
    }
}

fn rank(state: State) -> u8 {
    match state {
        State::Other(_) => 0,
        State::Connected => 1,
        State::Unconnected => 2,
        State::Listening => 3,
    }
}
