//! Through omq-tokio.

use anyhow::Result;
use omq_tokio::{Endpoint, IpcPath, Message, Options, Socket, SocketType};

use crate::{
    meter::{Running, Stretch},
    payload::Stamped,
    role::{self, Load},
    socket::queue_messages,
};

pub(super) fn push(load: &Load) -> Result<Stretch> {
    let load = load.clone();
    load.flavour.run(async move {
        // It sets a send buffer of 1 MiB by itself.
        let options = Options::default().send_hwm(u32::try_from(queue_messages(load.payload))?).linger_forever();
        let socket = Socket::new(SocketType::Push, options);
        socket.connect(Endpoint::Ipc(IpcPath::Filesystem(load.path.clone()))).await?;
        // The receiver takes this one before the clock starts: then the connection is made on both sides.
        socket.send(Message::from_slice(b"hello")).await?;
        let mut payloads = Stamped::new(load.payload);
        while !socket.connections().await?.iter().any(|connection| connection.peer_info.is_some()) {
            tokio::task::yield_now().await;
        }
        role::say_ready()?;
        // Its driver must be able to write the greeting meanwhile.
        tokio::task::spawn_blocking(role::await_go).await??;
        let running = Running::begin();
        for _ in 0..load.messages {
            socket.send(Message::from_slice(payloads.next())).await?;
        }
        // Like libzmq's, this producer stays until its messages have arrived.
        tokio::task::spawn_blocking(role::await_go).await??;
        let stretch = running.end();
        socket.close().await?;
        Ok(stretch)
    })
}
