//! What `watch` reports about one directory or a tree.

use std::path::{Path, PathBuf};

use fs_watch::{Event, Socket, Why};

use crate::{
    json::{self, Object, PathText},
    text::{escaped_cell, escaped_words},
    words::kind_of_socket,
};

/// A socket, with the generation under which it is reported.
#[derive(Debug)]
pub(super) struct Known {
    socket: Socket,
    generation: u64,
}

#[derive(Debug)]
pub(super) enum Told {
    Init,
    InitApply(Known),
    InitDone,
    Added(Known),
    Ready(Known),
    Removed {
        path: PathBuf,
        generation: u64,
        reason: String,
    },
    Degraded {
        directory: PathBuf,
        text: String,
    },
    /// This directory has been scanned completely.
    Synced {
        directory: PathBuf,
    },
    /// Every directory has been scanned completely.
    Resynced,
}

impl Told {
    /// Converts an event of the watcher of this directory, its generations above `base`. `None` if the event is
    /// unknown.
    pub(super) fn new(event: Event, directory: &Path, base: u64) -> Option<Self> {
        let known = |socket: Socket| Known { generation: base + socket.generation.value(), socket };
        Some(match event {
            Event::Init => Self::Init,
            Event::InitApply(socket) => Self::InitApply(known(socket)),
            Event::InitDone => Self::InitDone,
            Event::Added(socket) => Self::Added(known(socket)),
            Event::Ready(socket) => Self::Ready(known(socket)),
            Event::Removed { id, reason } => {
                Self::Removed { generation: base + id.generation.value(), path: id.path, reason: reason.to_string() }
            }
            Event::Degraded(why) => {
                let hint =
                    if matches!(why, Why::NoTable { .. }) { "; --connect asks the sockets themselves" } else { "" };
                Self::Degraded { directory: directory.to_owned(), text: format!("{why}{hint}") }
            }
            Event::Resynced => Self::Synced { directory: directory.to_owned() },
            _ => return None,
        })
    }

    /// The generation of the socket that this is about.
    pub(super) const fn generation(&self) -> Option<u64> {
        match self {
            Self::InitApply(known) | Self::Added(known) | Self::Ready(known) => Some(known.generation),
            Self::Removed { generation, .. } => Some(*generation),
            Self::Init | Self::InitDone | Self::Degraded { .. } | Self::Synced { .. } | Self::Resynced => None,
        }
    }

    pub(super) fn to_object(&self) -> Object<'static> {
        match self {
            Self::Init => Object::Init,
            Self::InitApply(known) => Object::Present { socket: known.to_json() },
            Self::InitDone => Object::InitDone,
            Self::Added(known) => Object::Added { socket: known.to_json() },
            Self::Ready(known) => Object::Ready { socket: known.to_json(), kind: kind_of_socket(known.socket.kind) },
            Self::Removed { path, generation, reason } => {
                Object::Removed { path: PathText::new(path), generation: *generation, reason: reason.clone() }
            }
            Self::Degraded { directory, text } => {
                Object::Degraded { path: PathText::new(directory), text: text.clone() }
            }
            Self::Synced { .. } | Self::Resynced => Object::Resynced,
        }
    }

    /// A line for people: a sign, the path, and what else is known.
    pub(super) fn to_line(&self) -> Option<String> {
        Some(match self {
            Self::Init => return None,
            Self::InitApply(known) => known.to_line('='),
            Self::InitDone => "-- watching; from here on changes".to_owned(),
            Self::Added(known) => known.to_line('+'),
            Self::Ready(Known { socket, generation }) => {
                format!(
                    "! {}  {} socket, ready, generation {generation}",
                    shown(&socket.path),
                    kind_of_socket(socket.kind)
                )
            }
            Self::Removed { path, generation, reason } => {
                format!("- {}  {reason}, generation {generation}", shown(path))
            }
            Self::Degraded { directory, text } => format!("?? {}  {}", shown(directory), escaped_words(text)),
            Self::Synced { .. } | Self::Resynced => "-- complete again".to_owned(),
        })
    }
}

impl Known {
    pub(super) fn path(&self) -> &Path {
        &self.socket.path
    }

    fn to_line(&self, sign: char) -> String {
        let Self { socket, generation } = self;
        let facts = &socket.facts;
        format!(
            "{sign} {}  mode {:03o}, uid {}, gid {}, generation {generation}",
            shown(&socket.path),
            facts.mode,
            facts.uid,
            facts.gid,
        )
    }

    fn to_json(&self) -> json::Socket {
        json::Socket {
            path: PathText::new(&self.socket.path),
            generation: self.generation,
            mode: format!("{:o}", self.socket.facts.mode),
            uid: self.socket.facts.uid,
            gid: self.socket.facts.gid,
        }
    }
}

fn shown(path: &Path) -> String {
    escaped_cell(path.as_os_str().as_encoded_bytes())
}
