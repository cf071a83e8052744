//! All tests of zk-client, in one program.

mod busy;
mod cancel;
mod large;
mod lifetime;
mod reconnect;
mod requests;
mod server;
