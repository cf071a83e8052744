//! The sockets that have files, indexed by file.

use std::collections::HashMap;

use crate::dump::dump;
use crate::entry::{Entry, FileId, State, Which};
use crate::error::Error;

/// A stored dump, which you can query for any number of files.
///
/// Memory: about 50 bytes for each socket on the machine that has a file.
#[derive(Debug, Clone, Default)]
pub struct Table {
    by_file: HashMap<FileId, Entry>,
}

impl Table {
    /// Reads the sockets of the caller's network namespace that may serve.
    ///
    /// # Errors
    /// The dump failed. There is no partial table.
    pub fn read() -> Result<Self, Error> {
        dump(Which::Servers)?.collect()
    }

    /// Reads once more, and adds the sockets that the first reading missed. Call it before you conclude anything from a
    /// missing socket: one that both readings lack did not exist during the whole time between them. Sockets that have
    /// closed since the first reading stay in the table.
    ///
    /// # Errors
    /// As [`read`](Self::read); then the table is unchanged.
    pub fn read_again(&mut self) -> Result<(), Error> {
        let second = Self::read()?;
        self.extend(second.by_file.into_values());
        Ok(())
    }

    /// The socket bound to this file. `None` does not prove that no server uses it: see the front page.
    pub fn get(&self, file: FileId) -> Option<&Entry> {
        self.by_file.get(&file)
    }

    /// All of them, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (FileId, &Entry)> {
        self.by_file.iter().map(|(file, entry)| (*file, entry))
    }

    /// How many files have a socket.
    pub fn len(&self) -> usize {
        self.by_file.len()
    }

    /// Whether no file has a socket.
    pub fn is_empty(&self) -> bool {
        self.by_file.is_empty()
    }
}

impl Extend<Entry> for Table {
    /// If several sockets have the same file (a listener and the connections that it accepted), the one that listens
    /// stays.
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
