//! Binding names: no other process's file is touched, one starter wins, and a crash blocks nothing.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod addresses;
mod child;
mod directories;
mod environments;
mod in_the_way;
mod lock;
mod modes;
mod name_loss;
mod place;
mod races;
mod shortage;
mod withdrawal;
