//! The task that owns a connection: it moves bytes, keeps the session alive, and says how it ended.

use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use packetizer::{Driver, Options, Step, Urgency};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
    task::unconstrained,
    time::{Instant, sleep_until},
};
use zk_proto::{CloseSession, Due, ErrorCode, Keepalive, Ping, Session, SessionId, WatcherEvent};

use crate::{
    client::{Client, Line},
    error::{Ending, Report},
    handshake::{Connection, whole},
};

/// What is looked at before silence is believed: a server that says so much is not silent.
const MOST_STEPS: usize = 64;

/// An answer to a request of the task's own, if there is one under way.
type Own = Option<packetizer::Pending<Session, Result<(), ErrorCode>>>;

/// What became of one.
type Answer = Result<Result<(), ErrorCode>, packetizer::Error<zk_proto::Error>>;

/// Spawns the task for a session that was just granted.
pub(crate) fn start<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    connection: Connection<S>,
    server: String,
    max_request: usize,
) -> Client {
    let Connection { driver, handle, grant } = connection;
    let line = Arc::<Line>::default();
    let (ended, report) = watch::channel(None);
    let keepalive = Keepalive::new(grant.timeout, Instant::now().into_std());
    let task =
        Task { driver, keepalive, line: Arc::clone(&line), pong: None, farewell: None, patience: None, bytes_read: 0 };
    tokio::spawn(task.run(grant.session, ended));
    Client::new(handle, line, report, grant, server, max_request)
}

struct Task<S> {
    driver: Driver<S, Session>,
    keepalive: Keepalive,
    line: Arc<Line>,
    /// The answer to a ping.
    pong: Own,
    /// The answer to the request that ends the session.
    farewell: Own,
    /// Until when that answer is waited for.
    patience: Option<Instant>,
    /// Bytes that had arrived when they were last counted.
    bytes_read: u64,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Task<S> {
    async fn run(mut self, session: SessionId, ended: watch::Sender<Option<Report>>) {
        let ending = self.serve().await;
        // The reason must be known before the requests that wait are told to fail.
        self.line.end(&ending);
        self.driver.disconnect();
        let report = Report { session, ending, requests: self.driver.report() };
        ended.send_replace(Some(report));
    }

    async fn serve(&mut self) -> Ending {
        loop {
            let wake = Instant::from_std(self.keepalive.poll_timeout());
            let wake = self.patience.map_or(wake, |patience| patience.min(wake));
            tokio::select! {
                step = self.driver.next() => {
                    if let Some(ending) = self.handle(step) {
                        return ending;
                    }
                }
                answer = own(&mut self.farewell) => match answer {
                    Ok(Ok(())) => return Ending::Closed,
                    Ok(Err(code)) => return Ending::Lost(format!("the server would not close the session: {code}").into()),
                    Err(error) => return Ending::Lost(whole(&error).into()),
                },
                answer = own(&mut self.pong) => {
                    self.keepalive.handle_pong();
                    if answer.is_err() {
                        // Refused: writing has failed, and reading will end soon. Asking again at once would not help.
                        self.keepalive.handle_sent(Instant::now().into_std());
                    }
                }
                () = self.line.closing() => self.say_farewell(),
                () = sleep_until(wake) => {}
            }
            self.note_bytes();
            // Looked at in every round: a connection that is always busy must not keep a ping from its time.
            let now = Instant::now();
            if self.patience.is_some_and(|patience| patience <= now) {
                return Ending::Lost("the server did not confirm the end of the session in time".into());
            }
            match self.keepalive.handle_timeout(now.into_std()) {
                None => {}
                // Behind a farewell a ping says nothing: the server does not read on.
                Some(Due::Ping) if self.farewell.is_some() => {}
                Some(Due::Ping) => {
                    // It must not wait behind megabytes of requests.
                    self.pong = Some(self.driver.call_with(&Ping, Options::new().with_urgency(Urgency::Ahead)));
                    // Nothing was sent for a while: buffers are not needed now.
                    self.driver.release();
                }
                Some(Due::GiveUp(_)) => {
                    if let Some(ending) = self.look_once_more().await {
                        return ending;
                    }
                }
            }
        }
    }

    /// Takes note of what the driver has to tell; `Some` when that is the end.
    fn handle(&mut self, step: Step<WatcherEvent<'static>, zk_proto::Error>) -> Option<Ending> {
        match step {
            Step::Progress(progress) => {
                let now = Instant::now().into_std();
                if progress.sent {
                    self.keepalive.handle_sent(now);
                }
                if progress.received {
                    self.keepalive.handle_received(now);
                }
            }
            Step::HungUp => self.say_farewell(),
            // A server that confirms the end of the session hangs up right behind it.
            Step::End(end) => {
                return Some(match self.farewell.as_mut().and_then(arrived) {
                    Some(Ok(Ok(()))) => Ending::Closed,
                    _ => Ending::Lost(whole(&end).into()),
                });
            }
            // No watch was set, so there is none to tell of an event.
            _ => {}
        }
        None
    }

    /// Counts the bytes that have arrived, those of incomplete frames included.
    fn note_bytes(&mut self) {
        let total = self.driver.bytes_read();
        let more = total.saturating_sub(self.bytes_read);
        self.bytes_read = total;
        self.keepalive.handle_bytes(more, Instant::now().into_std());
    }

    /// The server seems silent; but if this process was suspended, or its runtime blocked, what the server said lies in the
    /// socket. `Some` when it does not, or when the connection is over.
    async fn look_once_more(&mut self) -> Option<Ending> {
        // The runtime asks the kernel which sockets are readable before this task goes on.
        tokio::task::yield_now().await;
        for _ in 0..MOST_STEPS {
            let Some(step) = arrived(&mut pin!(self.driver.next())) else { break };
            if let Some(ending) = self.handle(step) {
                return Some(ending);
            }
        }
        self.note_bytes();
        match self.keepalive.handle_timeout(Instant::now().into_std()) {
            Some(Due::GiveUp(silence)) => {
                Some(Ending::Lost(format!("the server has been silent for {silence:?}").into()))
            }
            Some(Due::Ping) => {
                self.pong = Some(self.driver.call_with(&Ping, Options::new().with_urgency(Urgency::Ahead)));
                None
            }
            None => None,
        }
    }

    /// Asks for the end of the session, after everything that was asked before.
    fn say_farewell(&mut self) {
        if self.farewell.is_none() {
            self.farewell = Some(self.driver.call_last(&CloseSession));
            self.patience = Instant::now().checked_add(self.keepalive.timeout());
        }
    }
}

/// Waits for the answer, if one is under way; then none is any more.
async fn own(pending: &mut Own) -> Answer {
    let Some(answer) = pending else { return std::future::pending().await };
    let answer = answer.await;
    *pending = None;
    answer
}

/// What a future has to say now, however much the task has done in its turn already.
pub(crate) fn arrived<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    let mut cx = Context::from_waker(Waker::noop());
    match pin!(unconstrained(future)).poll(&mut cx) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}
