//! All tests of packetizer except its laws, in one program.

mod cancel;
mod counted;
mod drive;
mod echo;
mod mux;
mod redis;
mod scale;
mod tower;
