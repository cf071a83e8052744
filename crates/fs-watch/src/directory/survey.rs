//! Who is behind each socket of a directory, all at once.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use socket_file::{self as probe, Answer, DotFiles, Evidence, Facts, Kind, Liveness, Probing, Verdict};
use unix_diag::Table;

use super::processes::{self, Process};
use super::{Handle, Held};
use crate::error::Error;

/// What [`survey`] has found.
#[derive(Debug)]
#[non_exhaustive]
pub struct Survey {
    /// The sockets in the directory but for dot-files, in the order of their names.
    pub sockets: Vec<Found>,
    /// How many processes would not show their descriptors to this user, so that a socket without
    /// [processes](Found::processes) may be held by one of them; `None` if `/proc` shows no processes at all.
    pub hidden: Option<usize>,
    /// Why the kernel's table of sockets could not be read, if so.
    pub no_table: Option<unix_diag::Error>,
}

/// A socket, and who is behind it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Found {
    /// The directory as it was given, joined with the socket's name.
    pub path: PathBuf,
    /// What `lstat` says of it.
    pub facts: Facts,
    /// What kind of socket it is, if that is known.
    pub kind: Kind,
    /// Whether somebody listens, and from whom that is known.
    pub liveness: Liveness,
    /// The processes that have it open, as far as they are to be seen. A listener that was inherited or handed on is held
    /// by several.
    pub processes: Vec<Process>,
}

/// Lists the sockets of a directory with whoever is behind them.
///
/// It asks the kernel's table of sockets (`sock_diag(7)`), which shows one network namespace, and looks through the
/// descriptors of all processes, of which a user without privileges sees only the own. Only with
/// [`Probing::TableAndConnect`] is anything connected to: what the table does not have, to tell what is stale.
///
/// # Errors
///
/// The directory cannot be opened or listed: [`Error::Missing`], [`Error::NotADirectory`], [`Error::Unreadable`].
pub fn survey(dir: impl AsRef<Path>, probing: Probing) -> Result<Survey, Error> {
    let handle = Handle::open(dir.as_ref())?;
    let sockets = handle.sockets(|name| DotFiles::Ignored.admit(name))?;
    // After the listing: a table that is older than a socket does not tell of it.
    let (table, no_table) = match probing {
        Probing::Off => (None, None),
        Probing::TableOnly | Probing::TableAndConnect => match Table::read() {
            Ok(mut table) => {
                if sockets.iter().any(|(_, facts)| table.get(facts.file()).is_none()) {
                    // Before anybody is knocked at. If there is no second table, the first one has said what it has.
                    let _ = table.read_again();
                }
                (Some(table), None)
            }
            Err(error) => (None, Some(error)),
        },
    };
    let mut found: Vec<Found> = sockets
        .into_iter()
        .map(|(name, facts)| {
            let (liveness, kind) = match table.as_ref().and_then(|table| table.get(facts.file())) {
                Some(entry) => (Liveness::of_entry(entry), entry.kind.into()),
                None if probing == Probing::TableAndConnect => match handle.find(&name) {
                    Ok(Some(held)) if held.facts.is_same_file(&facts) => ask(&held),
                    _ => (Liveness::UNASKED, Kind::Unknown),
                },
                None => (Liveness::UNASKED, Kind::Unknown),
            };
            Found { path: handle.path_of(&name), facts, kind, liveness, processes: Vec::new() }
        })
        .collect();
    let numbers: HashSet<u32> = found.iter().filter_map(Found::number).collect();
    let holders = processes::find(&numbers);
    for socket in &mut found {
        socket.processes =
            socket.number().and_then(|number| holders.by_socket.get(&number).cloned()).unwrap_or_default();
    }
    Ok(Survey { sockets: found, hidden: holders.hidden, no_table })
}

impl Found {
    /// The number of the kernel's socket.
    fn number(&self) -> Option<u32> {
        match self.liveness.evidence {
            Evidence::Table { inode, .. } => Some(inode),
            _ => None,
        }
    }
}

/// Connects to a socket that the table does not have.
pub(super) fn ask(held: &Held) -> (Liveness, Kind) {
    let (answer, kind) = probe::ask_file(&held.file);
    (Liveness::of_answer(answer, false, age(&held.facts)), kind)
}

/// Whether a connection was refused, whatever follows from it.
pub(super) fn is_refused(liveness: &Liveness) -> bool {
    liveness.verdict != Verdict::Listening && liveness.evidence == Evidence::Connect(Answer::Refused)
}

/// Since the file was made, or last changed where that is later; nothing if the clock says that it is yet to come.
pub(super) fn age(facts: &Facts) -> Duration {
    let changed = facts.birth.map_or(facts.ctime, |birth| birth.max(facts.ctime));
    SystemTime::now().duration_since(changed).unwrap_or_default()
}
