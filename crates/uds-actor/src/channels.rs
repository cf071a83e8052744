//! The plainest face of an actor: two channels of messages.

use bytes::Bytes;
use frame_codec::{Batch, Framing};
use tokio::sync::{mpsc, watch};

use crate::{Actor, Control, Count, Receiver, SendError, Sender, Transport};

/// Gives the stream to an actor that needs no handles: what arrives goes to `inbound`, what comes on `outbound` goes out,
/// and everything is torn down in order.
///
/// | when | then |
/// |---|---|
/// | every sender of `outbound` is dropped | what is queued is written, and our direction is closed |
/// | the peer closes | `inbound` is closed behind the last message |
/// | the receiver of `inbound` is dropped | nothing more is read; what was not in the channel yet is lost |
/// | all of it, or a failure | the connection ends; [`Control::finished`] gives the account |
/// | it ends while messages wait in `outbound` | they are the last of [`Report::unsent`](crate::Report::unsent) |
///
/// Both directions run on their own: a full `inbound` holds the peer back and never stops `outbound`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use frame_codec::Delimited;
/// use tokio::{io::AsyncReadExt, net::UnixStream, sync::mpsc};
///
/// let (here, mut there) = UnixStream::pair()?;
/// let (inbound, _messages) = mpsc::channel(16);
/// let (replies, outbound) = mpsc::channel(16);
/// let control = uds_actor::spawn_with_channels(here, Delimited::lines(), inbound, outbound);
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
    let (sender, receiver, control) = Actor::new(stream, framing).spawn();
    let (left, left_outside) = watch::channel(None);
    tokio::spawn(carry_out(outbound, sender, control.clone(), left));
    tokio::spawn(carry_in(receiver, inbound));
    control.awaiting(left_outside)
}

/// Ends when the channel does, or with the connection: a queue that nobody fills must not keep a dead one alive. What it could
/// not carry it leaves to the report.
async fn carry_out(
    mut outbound: mpsc::Receiver<Bytes>,
    sender: Sender,
    control: Control,
    left: watch::Sender<Option<Batch>>,
) {
    let refused = loop {
        let message = tokio::select! {
            message = outbound.recv() => message,
            () = control.ended() => break None,
        };
        let Some(message) = message else { return };
        // One that the framing refuses is counted in the report; its sender cannot hear of it here.
        if let Err(unsent) = sender.send_shared(message).await
            && unsent.reason == SendError::Closed
        {
            break Some(unsent.message);
        }
    };
    outbound.close();
    let waiting = std::iter::from_fn(|| outbound.try_recv().ok());
    let messages = refused.into_iter().chain(waiting).map(Batch::single);
    left.send_replace(Some(Batch::concat(messages)));
}

async fn carry_in(mut receiver: Receiver, inbound: mpsc::Sender<Bytes>) {
    loop {
        let batch = tokio::select! {
            batch = receiver.recv_batch() => batch,
            () = inbound.closed() => return,
        };
        let Some(batch) = batch else { return };
        let mut left = Count::of(&batch);
        for message in batch {
            let taken = Count { frames: 1, bytes: message.len() as u64 };
            if inbound.send(message).await.is_err() {
                // The batch was taken, but these nobody will have.
                receiver.retract(left);
                return;
            }
            left = left - taken;
        }
    }
}
