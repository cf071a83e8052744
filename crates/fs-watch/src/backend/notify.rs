//! Hints from the operating system's file events (inotify on Linux), through the `notify` crate.
//!
//! The second implementation beside [`Inotify`](super::Inotify). `notify` 8 asks the kernel for every kind of event, so that
//! whatever is written to a file in the directory, or beside it, wakes its thread and slows the writer down.
//!
//! `notify` runs its callback on the very thread that answers `watch` and `unwatch`. A callback that waits
//! for the consumer and a consumer that calls `watch` therefore wait for each other for ever. Two rules
//! make that impossible here:
//!
//! * the callback only puts names into a set ([`Hints`]) and wakes, which never waits;
//! * creating, watching, unwatching and dropping happen on a thread of their own, and whoever ordered them
//!   stops waiting after [`PATIENCE`](hub::PATIENCE).
//!
//! A user of the system has 128 inotify instances. All watchers of a process therefore share one, the [`Hub`]'s,
//! which begins with the first of them and ends with the last.

use super::Backend;
use crate::event::Why;
use crate::hints::Hints;
use crate::target::Target;

mod control;
mod hub;
mod members;
#[cfg(test)]
mod tests;

use hub::{Hub, Seat, shared};

/// Hints from the kernel, through the `notify` crate. All that are in use in a process share one source.
#[derive(Debug, Default)]
pub struct Notify {
    seat: Option<Seat>,
}

impl Backend for Notify {
    fn arm(&mut self, target: &Target, hints: &Hints) -> Result<(), Why> {
        if self.seat.as_ref().is_some_and(|seat| seat.hub().is_retired()) {
            self.leave(|seat| drop(seat.leave()));
        }
        let seat = match &mut self.seat {
            Some(seat) => seat,
            none => none.insert(join(target, hints)?),
        };
        let answer = seat.arm(target);
        match answer {
            // The same directory under another path: the kernel reports what happens in it under one of them.
            Err(Why::BackendFailed { ref message }) if message == control::ALIAS => {
                self.leave(|seat| drop(seat.leave()));
                let seat = self.seat.insert(Seat::take(&Hub::start()?, target, hints));
                seat.arm(target)
            }
            // All else but the directory's own trouble, and a want of watches, is better begun anew, by everybody.
            Err(Why::BackendStuck | Why::BackendFailed { .. }) => {
                self.leave(|seat| {
                    drop(seat.leave());
                    seat.hub().retire();
                });
                answer
            }
            answer => answer,
        }
    }

    fn disarm(&mut self) {
        self.leave(|seat| seat.leave().wait());
    }
}

impl Notify {
    fn leave(&mut self, leave: impl FnOnce(Seat)) {
        if let Some(seat) = self.seat.take() {
            leave(seat);
        }
    }
}

impl Drop for Notify {
    fn drop(&mut self) {
        // What is left then ends by itself, if it ever does.
        self.leave(|seat| drop(seat.leave()));
    }
}

/// Joins the hub of the process, which this may start.
fn join(target: &Target, hints: &Hints) -> Result<Seat, Why> {
    let mut shared = shared();
    let hub = match shared.take().filter(|hub| !hub.is_retired()) {
        Some(hub) => hub,
        None => Hub::start()?,
    };
    // Under the lock, so that whoever leaves last cannot take the hub for empty.
    let seat = Seat::take(&hub, target, hints);
    *shared = Some(hub);
    Ok(seat)
}
