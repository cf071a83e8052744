//! All tests of packetizer except its laws, in one program.

mod broken;
mod cancel;
mod counted;
mod detached;
mod drive;
mod echo;
mod mux;
mod peer;
mod redis;
mod scale;
mod tower;
