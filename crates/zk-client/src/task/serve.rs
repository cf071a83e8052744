//! One connection, from its first byte to its last.

use std::{pin::pin, time::Duration};

use packetizer::{Driver, Step};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, Sleep, sleep_until},
};
use zk_proto::{
    CloseSession, ErrorCode, Notification, Session,
    session::{GiveUp, OwnCall, SessionEvent as Told, Verdict},
};

use super::{
    Task,
    outcome::{Outcome, arrived},
    round::Round,
    timeout_of,
};
use crate::{connector::Connector, ending::Ending, error::Failure};

/// How many steps the driver may take before we believe that the server is silent: a server that sends this much is
/// not.
const MOST_STEPS: usize = 64;

/// The state of one connection beside the session's.
struct Connection<'a> {
    server: &'a str,
    /// How long the server has to grant the session.
    allowed: Duration,
    /// Bytes that had arrived at the last count.
    bytes_read: u64,
    /// Whether the last handle is gone.
    hung_up: bool,
}

/// What the session asks for after a change of its state.
struct Wishes {
    calls: Vec<OwnCall>,
    events: Vec<Told>,
    give_up: Option<GiveUp>,
    verdict: Verdict,
    ending: Option<zk_proto::Ending>,
    wake: Option<std::time::Instant>,
    timeout: Duration,
}

impl<C: Connector> Task<C> {
    /// Moves bytes until the connection is lost or the session is over.
    pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        driver: &mut Driver<S, Session>,
        server: &str,
    ) -> Outcome {
        let now = Instant::now();
        let limit = self.round.as_ref().map_or(self.settings.server_timeout, Round::limit);
        let left = self.connect_by.filter(|_| self.ready.is_some()).map(|by| by.saturating_duration_since(now));
        let allowed = left.map_or(limit, |left| left.min(limit));
        let deadline = now.checked_add(allowed).unwrap_or(now);
        driver.with_protocol_mut(|session| session.handle_open(deadline.into_std(), now.into_std()));
        let mut connection = Connection { server, allowed, bytes_read: 0, hung_up: false };
        let mut timer = pin!(sleep_until(now));
        loop {
            if let Some(outcome) = self.act(driver, &mut connection, timer.as_mut()).await {
                return outcome;
            }
            let link = std::sync::Arc::clone(&self.link);
            tokio::select! {
                step = driver.next() => {
                    if let Some(lost) = self.handle(driver, &mut connection, step) {
                        // A server that ends the session closes the connection right after saying so.
                        let last = self.act(driver, &mut connection, timer.as_mut()).await;
                        return last.filter(|last| matches!(last, Outcome::Over(_))).unwrap_or(Outcome::Lost(lost));
                    }
                }
                () = link.woken() => {}
                () = timer.as_mut() => {}
            }
        }
    }

    /// Handles an event of the driver; `Some` when the connection is over.
    fn handle<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        driver: &Driver<S, Session>,
        connection: &mut Connection<'_>,
        step: Step<Notification, zk_proto::Error>,
    ) -> Option<Failure> {
        match step {
            Step::Progress(progress) => {
                let now = Instant::now().into_std();
                driver.with_protocol_mut(|session| {
                    if progress.sent {
                        session.handle_sent(now);
                    }
                    if progress.received {
                        session.handle_received(now);
                    }
                });
            }
            Step::Event(notification) => self.link.deliver(&notification),
            Step::HungUp => connection.hung_up = true,
            Step::End(end) => return Some(Failure::Lost(whole(&end))),
            _ => {}
        }
        None
    }

    /// Does what is due; `Some` when the connection is to be closed.
    async fn act<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        driver: &mut Driver<S, Session>,
        connection: &mut Connection<'_>,
        timer: std::pin::Pin<&mut Sleep>,
    ) -> Option<Outcome> {
        let mut wishes = self.ask(driver, connection);
        if wishes.give_up.is_some() {
            // If this process was suspended, or its runtime blocked, the server's data is waiting in the socket. The
            // runtime asks the kernel which sockets are readable before this task continues.
            tokio::task::yield_now().await;
            for _ in 0..MOST_STEPS {
                let Some(step) = arrived(&mut pin!(driver.next())) else { break };
                if let Some(lost) = self.handle(driver, connection, step) {
                    return Some(self.lost(driver, connection, lost));
                }
            }
            wishes = self.ask(driver, connection);
        }
        let now = Instant::now();
        match (wishes.verdict, wishes.ending, wishes.give_up) {
            (Verdict::Over, Some(ending), _) => return Some(Outcome::Over(ending.into())),
            (Verdict::Rejected(code), ..) => {
                let code = ErrorCode::from_code(code).unwrap_or(ErrorCode::Unknown(0));
                return Some(Outcome::Lost(Failure::Rejected(code)));
            }
            (_, _, Some(GiveUp::Handshake(_))) => {
                return Some(Outcome::Lost(Failure::TimedOut(connection.allowed)));
            }
            (_, _, Some(silence @ GiveUp::Silence(_))) => {
                return Some(Outcome::Lost(Failure::Lost(silence.to_string())));
            }
            _ => {}
        }
        if self.link.is_detaching() {
            return Some(Outcome::Over(Ending::Detached));
        }
        if (self.link.is_closing() || connection.hung_up) && self.farewell.is_none() {
            // Sent after every earlier request.
            self.farewell = Some(driver.call_last(&CloseSession));
            self.be_patient(wishes.timeout);
        }
        if self.patience.is_some_and(|patience| patience <= now) {
            let why = "the server did not confirm the end of the session in time";
            return Some(Outcome::Over(Ending::Lost(why.into())));
        }
        if let Some(Ok(Err(code))) = self.farewell.as_mut().and_then(arrived) {
            let why = format!("the server would not close the session: {code}");
            return Some(Outcome::Over(Ending::Lost(why.into())));
        }
        let due = wishes.wake.map(Instant::from_std).into_iter().chain(self.patience).min();
        let due = due.unwrap_or_else(|| now + Duration::from_secs(24 * 3600));
        // A timer that fires early is harmless, and resetting it for each reply has a cost.
        if due < timer.deadline() || timer.deadline() <= now {
            timer.reset(due);
        }
        None
    }

    /// What follows a connection that has ended or was given up.
    fn lost<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        driver: &Driver<S, Session>,
        connection: &mut Connection<'_>,
        failure: Failure,
    ) -> Outcome {
        let wishes = self.ask(driver, connection);
        match (wishes.verdict, wishes.ending) {
            (Verdict::Over, Some(ending)) => Outcome::Over(ending.into()),
            _ => Outcome::Lost(failure),
        }
    }

    /// Passes the time and the arrived bytes to the session, makes the calls that it asks for, and passes on its
    /// events.
    fn ask<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        driver: &Driver<S, Session>,
        connection: &mut Connection<'_>,
    ) -> Wishes {
        let now = Instant::now().into_std();
        let total = driver.bytes_read();
        let more = total.saturating_sub(connection.bytes_read);
        connection.bytes_read = total;
        let wishes = driver.with_protocol_mut(|session| {
            session.handle_bytes(more, now);
            let give_up = session.handle_timeout(now);
            Wishes {
                calls: std::iter::from_fn(|| session.poll_call()).collect(),
                events: std::iter::from_fn(|| session.poll_event()).collect(),
                give_up,
                verdict: session.verdict(),
                ending: session.ending().cloned(),
                wake: session.poll_timeout(),
                timeout: timeout_of(session),
            }
        });
        if wishes.calls.is_empty() && wishes.events.is_empty() {
            return wishes;
        }
        for call in &wishes.calls {
            self.own.push_back(driver.call_with(call, call.options()));
        }
        while self.own.front_mut().is_some_and(|call| arrived(call).is_some()) {
            self.own.pop_front();
        }
        let mut events = Vec::new();
        let mut wishes = wishes;
        std::mem::swap(&mut events, &mut wishes.events);
        for event in events {
            if matches!(event, Told::Connected { .. } | Told::Resumed { .. }) {
                self.round = None;
                self.failed_rounds = 0;
                self.link.set_status(connection.server.into(), wishes.timeout);
            }
            self.handle_event(event);
        }
        wishes
    }
}

/// An error and its causes.
fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
