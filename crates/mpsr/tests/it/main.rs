//! The `mpsr` program as its users meet it: real processes, real sockets, other people's clients.
//!
//! Nothing here sleeps to let something happen. A test waits for an event that the program prints, for the end of
//! a process, or for a state that it can see; each wait has a limit, and whatever was started is killed and reaped on
//! every way out.

#![expect(clippy::unwrap_used, reason = "a test may")]

mod admission;
mod cells;
mod clients;
mod documented;
mod ending;
mod ends;
mod framings;
mod handing_over;
mod housekeeping;
mod input;
mod listen;
mod memory;
mod offers;
mod options;
mod output;
mod pressure;
mod reconnecting;
mod refusals;
mod reset;
mod restricted;
mod running;
mod send_options;
mod send_signals;
mod sending;
mod signals;
mod stalled;
mod streams;
mod stuck;
mod terminal;
mod threads;
mod watching;
