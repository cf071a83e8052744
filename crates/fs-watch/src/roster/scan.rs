//! What a scan has found: at one name, or in the whole directory.

use std::ffi::OsString;

use socket_file::Facts;

/// The result of looking up one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// A socket has the name.
    Socket(Facts),
    /// A file that is not a socket has it. A symbolic link is not a socket, wherever it leads.
    Other,
    /// No file has it.
    Absent,
    /// The lookup failed, so it proves nothing.
    Unknown,
}

/// The sockets that one pass over the directory has shown, without other files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listing {
    /// The pass is complete. Known sockets that it lacks come into doubt.
    Complete(Vec<(OsString, Facts)>),
    /// The pass was interrupted. What it has shown is there; it proves nothing about the rest.
    Partial(Vec<(OsString, Facts)>),
}
