//! An actor without handles, used through two channels of messages.

use bytes::Bytes;
use frame_codec::{Batch, Framing};
use tokio::sync::{mpsc, watch};

use crate::{
    actor::Actor, control::Control, count::Count, error::SendError, receiver::Receiver, sender::Sender,
    transport::Transport,
};

/// Spawns an actor that you use through two channels: it sends received messages to `inbound`, and sends messages from
/// `outbound` to the peer.
///
/// | when | then |
/// |---|---|
/// | every sender of `outbound` is dropped | the actor writes what is queued, and closes our direction |
/// | the peer closes | the actor closes `inbound` after the last message |
/// | the receiver of `inbound` is dropped | the actor reads nothing more; messages that are not in the channel yet are lost |
/// | all of these, or a failure | the connection ends; [`Control::finished`] returns the report |
/// | the connection ends while messages wait in `outbound` | they are the last of [`Report::unsent`](crate::Report::unsent) |
///
/// The directions are independent: when `inbound` is full, the kernel makes the peer wait, and `outbound` continues.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use tokio::{io::AsyncReadExt, net::UnixStream, sync::mpsc};
/// use uds_actor::{Delimited, spawn_with_channels};
///
/// let (here, mut there) = UnixStream::pair()?;
/// let (inbound, _messages) = mpsc::channel(16);
/// let (replies, outbound) = mpsc::channel(16);
/// let control = spawn_with_channels(here, Delimited::lines(), inbound, outbound);
///
/// replies.send("hello".into()).await?;
/// drop(replies);
/// let mut text = String::new();
/// there.read_to_string(&mut text).await?; // ends, because our direction was closed
/// assert_eq!(text, "hello\n");
/// drop(there);
/// assert_eq!(control.finished().await.handed_to_kernel.frames, 1);
/// # Ok(())
/// # }
/// ```
///
/// # Panics
///
/// Outside a tokio runtime with time enabled.
pub fn spawn_with_channels<T: Transport, F: Framing + Clone + Send + 'static>(
    stream: T,
    framing: F,
    inbound: mpsc::Sender<Bytes>,
    outbound: mpsc::Receiver<Bytes>,
) -> Control {
    spawn(stream, framing, inbound, outbound, |message| message)
}

/// Like [`spawn_with_channels`], but tags each received message: many connections can share one `inbound`, and the
/// program that reads it knows where each message comes from.
///
/// The tag may be anything that you can clone: a number, the [`Peer`](crate::Peer) from the listener, or both.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use tokio::{io::AsyncWriteExt, net::UnixStream, sync::mpsc};
/// use uds_actor::{Delimited, spawn_with_tagged_channels};
///
/// let (inbound, mut messages) = mpsc::channel(16);
/// for connection in 0..2 {
///     let (here, mut there) = UnixStream::pair()?;
///     let (_replies, outbound) = mpsc::channel(16);
///     spawn_with_tagged_channels(here, Delimited::lines(), connection, inbound.clone(), outbound);
///     there.write_all(b"hello\n").await?;
/// }
/// drop(inbound);
/// let mut said = Vec::new();
/// while let Some((connection, message)) = messages.recv().await {
///     assert_eq!(message, "hello");
///     said.push(connection);
/// }
/// said.sort_unstable();
/// assert_eq!(said, [0, 1]);
/// # Ok(())
/// # }
/// ```
///
/// # Panics
///
/// Outside a tokio runtime with time enabled.
pub fn spawn_with_tagged_channels<T: Transport, F: Framing + Clone + Send + 'static, K: Clone + Send + 'static>(
    stream: T,
    framing: F,
    tag: K,
    inbound: mpsc::Sender<(K, Bytes)>,
    outbound: mpsc::Receiver<Bytes>,
) -> Control {
    spawn(stream, framing, inbound, outbound, move |message| (tag.clone(), message))
}

fn spawn<T: Transport, F: Framing + Clone + Send + 'static, M: Send + 'static>(
    stream: T,
    framing: F,
    inbound: mpsc::Sender<M>,
    outbound: mpsc::Receiver<Bytes>,
    label: impl FnMut(Bytes) -> M + Send + 'static,
) -> Control {
    let (sender, receiver, control) = Actor::new(stream, framing).spawn();
    let (left, left_outside) = watch::channel(None);
    tokio::spawn(carry_out(outbound, sender, control.clone(), left));
    tokio::spawn(carry_in(receiver, inbound, label));
    control.awaiting(left_outside)
}

/// Ends with the channel or with the connection: a channel that stays empty must not keep a dead connection alive. The
/// report gets what was not sent.
async fn carry_out(
    mut outbound: mpsc::Receiver<Bytes>,
    sender: Sender,
    control: Control,
    left: watch::Sender<Option<Batch>>,
) {
    let unsent = loop {
        let message = tokio::select! {
            message = outbound.recv() => message,
            () = control.ended() => break None,
        };
        let Some(message) = message else { return };
        // The report counts a message that the framing rejects. Its sender cannot learn of it here.
        if let Err(error) = sender.send_shared(message).await
            && error.reason == SendError::Closed
        {
            break Some(error.message);
        }
    };
    outbound.close();
    let waiting = std::iter::from_fn(|| outbound.try_recv().ok());
    let messages = unsent.into_iter().chain(waiting).map(Batch::single);
    left.send_replace(Some(Batch::concat(messages)));
}

async fn carry_in<M>(mut receiver: Receiver, inbound: mpsc::Sender<M>, mut label: impl FnMut(Bytes) -> M) {
    loop {
        let message = tokio::select! {
            message = receiver.recv_shared() => message,
            () = inbound.closed() => return,
        };
        let Some(message) = message else { return };
        let taken = Count { frames: 1, bytes: message.len() as u64 };
        if inbound.send(label(message)).await.is_err() {
            // The message was taken, but its channel is gone.
            receiver.retract(taken);
            return;
        }
    }
}
