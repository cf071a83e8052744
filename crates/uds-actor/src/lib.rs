//! The address half of the crate: sockets that are bound, found, accepted and connected without touching
//! anybody else's file.

mod address;
mod admit;
mod backoff;
mod bind;
mod connect;
mod denied;
mod error;
mod listener;
mod mode;
mod path;
mod peer;
mod sys;

pub use address::{Address, FileKind};
pub use admit::Admit;
pub use bind::{
    Bind,
    probe::{Liveness, probe},
    publish::Withdrawal,
};
pub use connect::Connect;
pub use error::{Error, LockFault, PathFault, Result};
pub use listener::{AcceptStats, Draining, Listener};
pub use mode::Mode;
pub use peer::Peer;
