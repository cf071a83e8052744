//! From a list of servers to a session.

use std::time::Duration;

use frame_codec::LengthPrefixed;
use packetizer::{Driver, Handle, Step};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, timeout},
};
use zk_proto::{ConnectRequest, Grant, Session};

use crate::{
    client::Client,
    connector::Connector,
    error::{Attempt, Error, Failure, Result},
    options::Options,
    task,
};

/// What a handshake leaves: a connection with a session on it.
pub(crate) struct Connection<S> {
    pub(crate) driver: Driver<S, Session>,
    pub(crate) handle: Handle<Session>,
    pub(crate) grant: Grant,
}

/// Tries each server once, until one grants a session.
pub(crate) async fn connect<C: Connector>(options: &Options, connector: &C, servers: Vec<String>) -> Result<Client> {
    let started = Instant::now();
    let deadline = started.checked_add(options.connect_timeout());
    let mut attempts = Vec::new();
    for server in servers {
        let left = deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(Instant::now()));
        let patience = left.min(options.server_timeout());
        if left.is_zero() {
            attempts.push(Attempt { server, failure: Failure::NotTried });
            continue;
        }
        match timeout(patience, attempt(options, connector, &server)).await {
            Ok(Ok(Some(connection))) => return Ok(task::start(connection, server, options.max_request())),
            Ok(Ok(None)) => return Err(Error::SessionExpired),
            Ok(Err(failure)) => attempts.push(Attempt { server, failure }),
            Err(_elapsed) => attempts.push(Attempt { server, failure: Failure::TimedOut(patience) }),
        }
    }
    Err(Error::NoServer { attempts })
}

async fn attempt<C: Connector>(
    options: &Options,
    connector: &C,
    server: &str,
) -> std::result::Result<Option<Connection<C::Stream>>, Failure> {
    let stream = connector.connect(server).await.map_err(Failure::Connect)?;
    shake_hands(options, stream).await
}

/// `None`: the server says that there is no such session.
async fn shake_hands<S: AsyncRead + AsyncWrite + Unpin>(
    options: &Options,
    stream: S,
) -> std::result::Result<Option<Connection<S>>, Failure> {
    let frames = frame_codec::Limits::default().with_max_frame(options.max_reply());
    let limits = packetizer::Limits::default()
        .with_max_request(options.max_request())
        .with_max_outbox(options.max_outbox())
        .with_max_calls(options.max_requests());
    let (mut driver, handle) = Driver::new(stream, LengthPrefixed::zookeeper(), frames, Session::default(), limits);
    let mut answer = handle.call(&ConnectRequest::new_session(options.session_timeout()));
    loop {
        let answered = tokio::select! {
            biased;
            answered = &mut answer => answered,
            step = driver.next() => match step {
                // Some servers hang up right behind their answer.
                Step::End(end) => task::arrived(&mut answer).ok_or_else(|| lost(&end))?,
                _ => continue,
            }
        };
        let granted = answered.map_err(|error| lost(&error))?;
        return Ok(granted.map(|grant| Connection { driver, handle, grant }));
    }
}

/// What happened and why, in one line.
pub(crate) fn lost(error: &dyn std::error::Error) -> Failure {
    Failure::Lost(whole(error))
}

/// An error and its causes.
pub(crate) fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
