//! A socket's name: given to a finished socket in one step, taken back the same way.

use std::io;

use rustix::fs::{AtFlags, RenameFlags, renameat, renameat_with, unlinkat};
use rustix::io::Errno;

use super::directory::{Directory, Identity, Remains};
use super::probe::Liveness;
use crate::error::Result;

/// How often to start again when the name changes hands while it is being taken.
const ATTEMPTS: u32 = 16;

/// A finished socket under its temporary name.
#[derive(Debug)]
pub(crate) struct Fresh(Published);

impl Fresh {
    pub(crate) fn new(directory: Directory, identity: Identity) -> Self {
        Self(Published { directory, identity, current: Current::Temporary })
    }

    pub(crate) fn directory(&self) -> &Directory {
        &self.0.directory
    }

    /// Gives the socket its name.
    pub(crate) fn publish(mut self) -> Result<Published> {
        for _ in 0..ATTEMPTS {
            let directory = &self.0.directory;
            let name = directory.path().name();
            let published = match directory.examine(name)? {
                None => match directory.rename_if_free(&directory.path().temporary_name(), name) {
                    Ok(()) => true,
                    Err(Errno::EXIST) => false,
                    Err(errno) => return Err(directory.failed("publish", errno)),
                },
                Some(remains) => self.0.exchange(&remains)?,
            };
            if published {
                self.0.current = Current::Final;
                return Ok(self.0);
            }
        }
        Err(self.0.directory.contended(ATTEMPTS))
    }
}

/// Our socket's name, taken back when dropped. The socket must outlive it: that keeps the inode number ours.
#[derive(Debug)]
pub(crate) struct Published {
    directory: Directory,
    identity: Identity,
    current: Current,
}

/// Under which of its names the socket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Current {
    Temporary,
    Final,
    Gone,
}

/// What became of a listener's name when it stopped listening.
#[derive(Debug)]
#[non_exhaustive]
pub enum Withdrawal {
    /// It was removed.
    Removed,
    /// Somebody had removed it already.
    Missing,
    /// Somebody has put something else there, which stays.
    Replaced,
    /// It could not be removed; the next start replaces it.
    Failed(io::Error),
    /// There was none of ours: an abstract name, or a socket of the service manager.
    NoName,
}

impl Published {
    /// Exchanges our temporary name with a stale socket; false, and all as before, if it was not that one any more.
    fn exchange(&mut self, remains: &Remains) -> Result<bool> {
        let directory = &self.directory;
        let (name, temporary) = (directory.path().name(), directory.path().temporary_name());
        let exchange = || renameat_with(directory, &temporary, directory, name, RenameFlags::EXCHANGE);
        match exchange() {
            Ok(()) => {}
            Err(Errno::NOENT) => return Ok(false),
            Err(errno) => {
                return Err(directory.failed("replace the stale socket (if it stays so, remove it)", errno));
            }
        }
        // A server between bind and listen looks stale; by now it may have got further.
        let is_it = matches!(directory.identity_of(&temporary), Ok(Some(displaced)) if displaced == remains.identity());
        if is_it
            && matches!(remains.liveness(), Ok(Liveness::Stale))
            && unlinkat(directory, &temporary, AtFlags::empty()).is_ok()
        {
            return Ok(true);
        }
        match exchange() {
            Ok(()) => Ok(false),
            Err(errno) => {
                let error = directory.failed("give back", errno);
                self.current = Current::Final;
                Err(error)
            }
        }
    }

    /// Takes the name away if it is ours.
    pub(crate) fn withdraw(mut self) -> Withdrawal {
        self.take_back()
    }

    fn take_back(&mut self) -> Withdrawal {
        let result = match std::mem::replace(&mut self.current, Current::Gone) {
            Current::Gone => Ok(Withdrawal::NoName),
            Current::Temporary => self.remove_temporary(),
            Current::Final => self.remove_final(),
        };
        result.unwrap_or_else(|errno| Withdrawal::Failed(errno.into()))
    }

    fn remove_temporary(&self) -> rustix::io::Result<Withdrawal> {
        let directory = &self.directory;
        let temporary = directory.path().temporary_name();
        match directory.identity_of(&temporary)? {
            None => Ok(Withdrawal::Missing),
            Some(identity) if identity != self.identity => Ok(Withdrawal::Replaced),
            Some(_) => unlinkat(directory, &temporary, AtFlags::empty()).map(|()| Withdrawal::Removed),
        }
    }

    /// There is no unlink-if-it-is-this-inode: move the name aside, where only the lock's holder works, look, and
    /// remove it or put it back.
    fn remove_final(&self) -> rustix::io::Result<Withdrawal> {
        let directory = &self.directory;
        let (name, temporary) = (directory.path().name(), directory.path().temporary_name());
        match directory.identity_of(name)? {
            None => return Ok(Withdrawal::Missing),
            Some(identity) if identity != self.identity => return Ok(Withdrawal::Replaced),
            Some(_) => {}
        }
        match renameat_with(directory, name, directory, &temporary, RenameFlags::NOREPLACE) {
            Ok(()) => {}
            Err(Errno::NOENT) => return Ok(Withdrawal::Missing),
            Err(Errno::INVAL | Errno::NOSYS) => renameat(directory, name, directory, &temporary)?,
            Err(errno) => return Err(errno),
        }
        match self.remove_temporary()? {
            Withdrawal::Replaced => directory.rename_if_free(&temporary, name).map(|()| Withdrawal::Replaced),
            withdrawal => Ok(withdrawal),
        }
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        self.take_back();
    }
}
