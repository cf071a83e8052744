//! The options of `mpsr listen`.

use std::time::Duration;

use clap::Args as ClapArgs;
use uds_actor::{Admit, Mode};

use super::{
    frames::Frames,
    values::{mode, seconds},
};
use crate::address::Place;

#[derive(Debug, ClapArgs)]
pub(crate) struct Listen {
    /// Where messages come from: unix:/PATH and unix:@NAME (bind, accept), systemd:NAME (a passed socket), dir:/PATH
    /// (connect to every socket that appears there).
    #[arg(required = true, value_name = "ADDRESS")]
    pub(crate) places: Vec<Place>,
    #[command(flatten)]
    pub(crate) frames: Frames,
    /// Print one JSON object per line; the account goes to standard error as one more.
    #[arg(long)]
    pub(crate) json: bool,
    /// Print messages only: not who joins and leaves, not the account.
    #[arg(long, short)]
    pub(crate) quiet: bool,
    /// Permissions of the socket files that are bound, in octal; 600 unless set.
    #[arg(long, value_name = "OCTAL", value_parser = mode)]
    pub(crate) mode: Option<Mode>,
    /// Admit this user id, besides one's own and root. May be repeated.
    #[arg(long, value_name = "UID")]
    allow_uid: Vec<u32>,
    /// Admit members of this group. May be repeated.
    #[arg(long, value_name = "GID")]
    allow_gid: Vec<u32>,
    /// At the end, how long to go on taking in what has been sent, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub(crate) drain: Duration,
}

impl Listen {
    pub(crate) fn admit(&self) -> Admit {
        let admit = self.allow_uid.iter().fold(Admit::own(), |admit, uid| admit.uid(*uid));
        self.allow_gid.iter().fold(admit, |admit, gid| admit.gid(*gid))
    }
}
