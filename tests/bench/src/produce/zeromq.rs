//! Through libzmq.

use std::os::fd::BorrowedFd;

use anyhow::{Context as _, Result, ensure};
use zmq::{Context, Socket, SocketEvent};

use crate::{
    meter::{Running, Stretch},
    payload::Stamped,
    role::{self, Load},
    socket::{self, queue_messages},
};

pub(super) fn push(load: &Load) -> Result<Stretch> {
    let context = Context::new();
    let socket = context.socket(zmq::PUSH)?;
    socket.set_sndhwm(i32::try_from(queue_messages(load.payload))?)?;
    socket.set_linger(-1)?;
    let monitor = watch(&context, &socket)?;
    socket.connect(&format!("ipc://{}", load.path.display()))?;
    widen(&monitor)?;
    // The receiver takes this one before the clock starts: then the connection is made on both sides.
    socket.send(&b"hello"[..], 0)?;
    let mut payloads = Stamped::new(load.payload);
    role::say_ready()?;
    role::await_go()?;
    let running = Running::begin();
    for _ in 0..load.messages {
        socket.send(payloads.next(), 0)?;
    }
    // Closing now would sometimes lose messages, whatever the linger. So the producer stays until they have arrived.
    role::await_go()?;
    Ok(running.end())
}

fn watch(context: &Context, socket: &Socket) -> Result<Socket> {
    socket.monitor("inproc://connected", i32::from(SocketEvent::CONNECTED.to_raw()))?;
    let monitor = context.socket(zmq::PAIR)?;
    monitor.connect("inproc://connected")?;
    Ok(monitor)
}

/// libzmq sets no send buffer on `ipc://`. The event names the descriptor, so we set the same size as for the other
/// contenders.
fn widen(monitor: &Socket) -> Result<()> {
    let event = monitor.recv_multipart(0)?;
    let event = event.first().context("an event has a first part")?;
    ensure!(event.len() == 6, "an event is a number and a value");
    let descriptor = i32::from_ne_bytes([event[2], event[3], event[4], event[5]]);
    #[expect(unsafe_code, reason = "libzmq tells its descriptor as a number")]
    // SAFETY: the monitor says that it is open, and nothing closes it before the socket is dropped by our caller.
    let descriptor = unsafe { BorrowedFd::borrow_raw(descriptor) };
    socket::widen(descriptor)
}
