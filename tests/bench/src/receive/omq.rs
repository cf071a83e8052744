//! Through omq-tokio.

use anyhow::{Context as _, Result, ensure};
use omq_tokio::{Endpoint, IpcPath, Options, Socket, SocketType};

use super::{begin, check, end};
use crate::{
    meter::Stretch,
    role::{self, Load},
    socket::queue_messages,
};

pub(super) fn pull(load: &Load) -> Result<Stretch> {
    let load = load.clone();
    load.flavour.run(async move {
        let options = Options::default().recv_hwm(u32::try_from(queue_messages(load.payload))?);
        let socket = Socket::new(SocketType::Pull, options);
        socket.bind(Endpoint::Ipc(IpcPath::Filesystem(load.path.clone()))).await?;
        role::say_ready()?;
        for _ in 0..load.producers {
            let hello = socket.recv().await?;
            ensure!(hello.get(0) == Some(b"hello"), "the producers greet first");
        }
        let running = begin()?;
        let mut check = check(&load);
        while !check.is_complete() {
            let message = socket.recv().await?;
            check.take(message.get(0).context("a message has a part")?);
        }
        end(running, &check)
    })
}
