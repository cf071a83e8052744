//! One connection: what is sent on it, and how it ends.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    net::UnixStream,
    task::JoinHandle,
    time::{Instant, sleep},
};
use uds_actor::{Actor, Control, Peer, Reason, Receiver, Report, SendError, Sender};

use super::{outgoing::Outgoing, source::Source};
use crate::{args::Send, signals::Signals};

/// How many bytes may wait in this process. Before more is queued, the receiver must have taken half of it.
pub(super) const OUTBOX: usize = 256 << 10;

/// How long an interrupted sender waits for the receiver to take what is queued.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// How long a sender that has sent everything waits for the receiver to close while it sends nothing.
const QUIET: Duration = Duration::from_secs(2);
/// The same while it sends answers.
const LAST_ANSWERS: Duration = Duration::from_secs(10);

/// How a connection ended.
#[derive(Debug)]
pub(super) struct End {
    pub(super) report: Report,
    pub(super) peer: Option<Peer>,
    /// How long the connection lasted.
    pub(super) lasted: Duration,
}

#[derive(Debug)]
pub(super) enum How {
    /// The whole input was handed to the kernel, and no reset was seen.
    Complete,
    /// The connection ended before the input was known to have ended, or with a reset: see the reason in the report.
    Lost,
    Interrupted,
    /// The receiver took nothing for the time of `--timeout`.
    Stalled,
    /// The input failed, or contained a message that the framing cannot carry.
    Failed(anyhow::Error),
}

/// Sends from the source until the source or the connection ends.
pub(super) async fn serve(args: &Send, source: &mut Source, stream: UnixStream, signals: &mut Signals) -> (How, End) {
    let started = Instant::now();
    let framing = Outgoing(args.frames.framing.framing());
    let actor = Actor::new(stream, framing).limits(args.frames.limits()).outbox_bytes(OUTBOX);
    let actor = if let Some(time) = args.timeout { actor.stall_timeout(time) } else { actor };
    let (sender, receiver, control) = actor.spawn();
    let mut answers = Answers::discard(receiver);
    let fed = tokio::select! {
        fed = feed(args, source, &sender) => fed,
        _ = control.finished() => Fed::ConnectionEnded,
        () = signals.next() => Fed::Interrupted,
    };
    let fed = match fed {
        Fed::All => flush(sender, signals).await,
        fed => {
            drop(sender);
            fed
        }
    };
    let (how, report) = match fed {
        Fed::All => {
            answers.await_end(signals).await;
            // If the receiver has not closed, this ends the connection: nothing more is read, and everything is
            // written.
            answers.stop().await;
            let report = control.finished().await;
            (if matches!(report.reason, Reason::Closed) { How::Complete } else { How::Lost }, report)
        }
        Fed::ConnectionEnded => {
            let report = control.finished().await;
            (if matches!(report.reason, Reason::Stalled) { How::Stalled } else { How::Lost }, report)
        }
        Fed::Interrupted => (How::Interrupted, close(&control, signals).await),
        Fed::Failed(error) => (How::Failed(error), close(&control, signals).await),
    };
    (how, End { report, peer: control.peer().cloned(), lasted: started.elapsed() })
}

enum Fed {
    All,
    ConnectionEnded,
    Interrupted,
    Failed(anyhow::Error),
}

/// Queues everything.
async fn feed(args: &Send, source: &mut Source, sender: &Sender) -> Fed {
    // The whole outbox may be given back, and so may a message that was sent alone.
    let kept = OUTBOX + args.frames.max_frame;
    loop {
        match source.fill().await {
            Ok(true) => {}
            Ok(false) => return Fed::All,
            Err(error) => return Fed::Failed(error),
        }
        source.keep(kept);
        while let Some(message) = source.current() {
            match sender.send(message).await {
                Ok(()) => source.advance(),
                Err(SendError::Closed) => return Fed::ConnectionEnded,
                Err(error) => {
                    let what = source.describe(source.position());
                    return Fed::Failed(anyhow::Error::new(error).context(what));
                }
            }
        }
    }
}

/// Hands over what is queued and closes our direction.
async fn flush(sender: Sender, signals: &mut Signals) -> Fed {
    tokio::select! {
        flushed = sender.finish() => if flushed.is_ok() { Fed::All } else { Fed::ConnectionEnded },
        () = signals.next() => Fed::Interrupted,
    }
}

/// Ends an interrupted connection in order; a second signal ends it without waiting.
async fn close(control: &Control, signals: &mut Signals) -> Report {
    tokio::select! {
        report = control.close(PATIENCE) => return report,
        () = signals.next() => {}
    }
    control.abort().await
}

/// The receiver's answers: read, counted and discarded, so that it never waits for us, and so that no unread answer
/// turns our close into a reset.
struct Answers {
    batches: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Answers {
    fn discard(mut receiver: Receiver) -> Self {
        let batches = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&batches);
        let task = tokio::spawn(async move {
            while receiver.recv_batch().await.is_some() {
                counter.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self { batches, task }
    }

    /// Waits until the receiver has closed its direction, with a limit, because it may never close it.
    async fn await_end(&mut self, signals: &mut Signals) {
        let mut last = pin!(sleep(LAST_ANSWERS));
        let mut seen = 0;
        loop {
            tokio::select! {
                _ = &mut self.task => return,
                () = &mut last => return,
                () = signals.next() => return,
                () = sleep(QUIET) => {}
            }
            let batches = self.batches.load(Ordering::Relaxed);
            if batches == seen {
                return;
            }
            seen = batches;
        }
    }

    /// Drops the receiver.
    async fn stop(self) {
        if !self.task.is_finished() {
            self.task.abort();
            // The task was cancelled on purpose.
            let _ = self.task.await;
        }
    }
}
