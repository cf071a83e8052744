//! Options for sockets that we bind, shared by `listen` and `send --bind`.

use std::{os::unix::fs::MetadataExt as _, path::Path};

use clap::Args as ClapArgs;
use rustix::process::geteuid;
use uds_actor::{Admit, Bind, Mode};

use super::values::mode;
use crate::names;

/// The properties of the socket files.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Socket files")]
pub(crate) struct SocketFile {
    /// Permissions of the socket files, in octal; 600 unless set. By default they also decide which users are admitted:
    /// 660 admits the file's group, 666 every user.
    #[arg(long, value_name = "OCTAL", value_parser = mode)]
    pub(crate) mode: Option<Mode>,
    /// The group of the socket files, by name or number.
    #[arg(long, value_name = "GROUP", value_parser = names::group)]
    pub(crate) group: Option<u32>,
    /// Bind in a directory in which other users may replace files, such as an emptyDir volume. They can then replace
    /// our socket with theirs, and receive what is meant for us.
    #[arg(long)]
    pub(crate) shared_directory: bool,
    /// Replace a stale socket on any filesystem. On FUSE, overlay, network and unknown filesystems, its server may run on
    /// another machine or on the other side of the mount, where we cannot see it. In the directory behind such a mount,
    /// which we cannot always recognise, the socket of a live server may look stale: bind through the mount there.
    #[arg(long)]
    pub(crate) any_filesystem: bool,
    /// Bind the name again if its socket file was removed or replaced, unless another live server has it. Without this
    /// option, the loss is only reported.
    #[arg(long)]
    pub(crate) rebind: bool,
}

/// Who may send.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Access")]
pub(crate) struct Access {
    /// Admit this user, by name or number, and only the users that further options name. May be repeated.
    #[arg(long, value_name = "USER", value_parser = names::user)]
    pub(crate) allow_uid: Vec<u32>,
    /// Admit members of this group, by name or number, and only the users that further options name. May be repeated.
    #[arg(long, value_name = "GROUP", value_parser = names::group)]
    pub(crate) allow_gid: Vec<u32>,
    /// Admit every user who can reach the socket.
    #[arg(long, conflicts_with_all = ["allow_uid", "allow_gid"])]
    pub(crate) allow_any: bool,
}

impl SocketFile {
    /// Sets only the options that were given: an address without a file has no mode, for example.
    pub(crate) fn apply(&self, bind: Bind) -> Bind {
        // The commands bind a lost name again themselves, because they learn of the loss.
        let Self { mode, group, shared_directory, any_filesystem, rebind: _ } = *self;
        let bind = mode.map_or(bind.clone(), |mode| bind.mode(mode));
        let bind = group.map_or(bind.clone(), |group| bind.group(group));
        let bind = if shared_directory { bind.in_shared_directory() } else { bind };
        if any_filesystem { bind.any_filesystem() } else { bind }
    }

    /// The first of these options that was given.
    pub(crate) fn given(&self) -> Option<&'static str> {
        let Self { mode, group, shared_directory, any_filesystem, rebind } = *self;
        [
            ("--mode", mode.is_some()),
            ("--group", group.is_some()),
            ("--shared-directory", shared_directory),
            ("--any-filesystem", any_filesystem),
            ("--rebind", rebind),
        ]
        .into_iter()
        .find_map(|(option, is_given)| is_given.then_some(option))
    }
}

impl Access {
    /// The users and groups that were named; `None` if there are none, and the mode decides.
    pub(crate) fn admit(&self) -> Option<Admit> {
        if self.allow_any {
            return Some(Admit::any());
        }
        if self.allow_uid.is_empty() && self.allow_gid.is_empty() {
            return None;
        }
        let admit = self.allow_uid.iter().fold(Admit::none(), |admit, uid| admit.uid(*uid));
        Some(self.allow_gid.iter().fold(admit, |admit, gid| admit.gid(*gid)))
    }

    /// Which of these options has no effect for the socket file at this path, if any: its mode lets fewer processes
    /// connect than the options admit.
    pub(crate) fn unreachable(&self, file: &SocketFile, path: &Path) -> Option<String> {
        let mode = file.mode.unwrap_or_default();
        if mode.bits() & 0o002 != 0 {
            return None;
        }
        if mode.bits() & 0o020 != 0 {
            let group = path.symlink_metadata().ok()?.gid();
            let gid = self.allow_gid.iter().find(|gid| **gid != group)?;
            return Some(format!(
                "of --allow-gid {gid}, only processes that are also in the file's group {group} can connect while its mode is \
                 {mode}; see --group"
            ));
        }
        let named = |uid: &&u32| **uid != 0 && **uid != geteuid().as_raw();
        let option = match (self.allow_uid.iter().find(named), &self.allow_gid[..]) {
            (Some(uid), _) => format!("--allow-uid {uid}"),
            (_, [gid, ..]) => format!("--allow-gid {gid}"),
            _ => return None,
        };
        Some(format!(
            "{option} has no effect while the mode of the file is {mode}: only its owner can connect; see --mode"
        ))
    }

    /// The first of these options that was given.
    pub(crate) fn given(&self) -> Option<&'static str> {
        let Self { allow_uid, allow_gid, allow_any } = self;
        [("--allow-uid", !allow_uid.is_empty()), ("--allow-gid", !allow_gid.is_empty()), ("--allow-any", *allow_any)]
            .into_iter()
            .find_map(|(option, is_given)| is_given.then_some(option))
    }
}
