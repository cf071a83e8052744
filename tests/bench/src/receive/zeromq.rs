//! Through libzmq.

use anyhow::{Result, ensure};
use zmq::{Context, Message};

use super::{begin, check, end};
use crate::{
    meter::Stretch,
    role::{self, Load},
    socket::queue_messages,
};

pub(super) fn pull(load: &Load) -> Result<Stretch> {
    let context = Context::new();
    let socket = context.socket(zmq::PULL)?;
    socket.set_rcvhwm(i32::try_from(queue_messages(load.payload))?)?;
    socket.bind(&format!("ipc://{}", load.path.display()))?;
    role::say_ready()?;
    let mut message = Message::new();
    for _ in 0..load.producers {
        socket.recv(&mut message, 0)?;
        ensure!(*message == *b"hello", "the producers greet first");
    }
    let running = begin()?;
    let mut check = check(load);
    while !check.is_complete() {
        socket.recv(&mut message, 0)?;
        check.take(&message);
    }
    end(running, &check)
}
