//! Sockets, with the same settings for every contender.

use std::{
    os::{
        fd::AsFd,
        unix::net::{UnixListener, UnixStream},
    },
    path::Path,
};

use anyhow::{Context, Result};
use rustix::net::sockopt::{set_socket_send_buffer_size, socket_send_buffer_size};

/// `SO_SNDBUF` of every producer. The kernel doubles what it is given.
pub(crate) const SEND_BUFFER: usize = 1 << 20;

/// What a queue may hold, in bytes, on either side.
pub(crate) const QUEUE_BYTES: usize = 1 << 20;

/// The same for contenders that count messages.
pub(crate) fn queue_messages(payload: usize) -> usize {
    (QUEUE_BYTES / payload).clamp(16, 16_384)
}

pub(crate) fn listen(path: &Path) -> Result<UnixListener> {
    UnixListener::bind(path).with_context(|| format!("cannot listen at {}", path.display()))
}

/// Connects with the send buffer that every contender gets.
pub(crate) fn connect(path: &Path) -> Result<UnixStream> {
    let stream = UnixStream::connect(path).with_context(|| format!("cannot connect to {}", path.display()))?;
    widen(&stream)?;
    Ok(stream)
}

/// The same, ready for tokio.
pub(crate) fn connect_nonblocking(path: &Path) -> Result<UnixStream> {
    let stream = connect(path)?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}

/// Sets the send buffer, and checks that the kernel accepted all of it.
pub(crate) fn widen(socket: impl AsFd) -> Result<()> {
    set_socket_send_buffer_size(&socket, SEND_BUFFER)?;
    let got = socket_send_buffer_size(&socket)?;
    anyhow::ensure!(got >= SEND_BUFFER, "net.core.wmem_max allows a send buffer of {got} bytes only");
    Ok(())
}
