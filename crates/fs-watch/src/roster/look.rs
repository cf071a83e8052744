//! What a look at the filesystem has found: at one name, or at all.

use std::ffi::OsString;

use socket_file::Facts;

/// The answer to a look at one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// A socket has the name.
    Socket(Facts),
    /// Something that is not a socket has it. A symbolic link is not a socket, wherever it leads.
    Other,
    /// Nothing has it.
    Absent,
    /// The question could not be answered; so nothing follows from it.
    Unknown,
}

/// The sockets one pass over the directory has shown, other files left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listing {
    /// The pass reached the end. Known sockets it lacks come into doubt.
    Complete(Vec<(OsString, Facts)>),
    /// The pass broke off. What it has shown is there; of the rest it says nothing.
    Partial(Vec<(OsString, Facts)>),
}
