//! How connections are made: we connect, or the receiver connects to us.

use std::time::Duration;

use anyhow::bail;
use tokio::{
    net::UnixStream,
    time::{sleep, timeout},
};
use uds_actor::Backoff;

use super::offer::Offer;
use crate::{args::Send, words};

/// No limit: as long as a clock can count.
const UNLIMITED: Duration = Duration::from_secs(u32::MAX as u64);

/// The pauses before connecting again to a receiver that hung up before anything was sent.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LAST_PAUSE: Duration = Duration::from_secs(1);

/// The way to a receiver.
pub(super) struct Route<'a> {
    args: &'a Send,
    /// Present with `--bind`.
    offer: Option<Offer>,
    backoff: Backoff,
}

impl<'a> Route<'a> {
    /// Binds, with `--bind`.
    pub(super) fn new(args: &'a Send) -> anyhow::Result<Self> {
        let offer = if args.bind { Some(Offer::new(args)?) } else { None };
        Ok(Self { args, offer, backoff: Backoff::new(FIRST_PAUSE, LAST_PAUSE) })
    }

    /// The first connection.
    pub(super) async fn open(&mut self) -> anyhow::Result<UnixStream> {
        if self.offer.is_some() {
            return self.accept().await;
        }
        self.connect(self.args.wait.unwrap_or_default()).await
    }

    /// Another connection after the last one ended. `progress` says whether anything was sent on that one.
    pub(super) async fn reopen(&mut self, progress: bool) -> anyhow::Result<UnixStream> {
        if self.offer.is_some() {
            return self.accept().await;
        }
        if progress {
            self.backoff.reset();
        } else {
            sleep(self.backoff.pause()).await;
        }
        self.connect(self.args.wait.unwrap_or(UNLIMITED)).await
    }

    async fn connect(&self, time: Duration) -> anyhow::Result<UnixStream> {
        let connected = self.args.socket.connect().deadline(time).connect().await;
        connected.map_err(|error| words::connect(error, !time.is_zero()))
    }

    async fn accept(&mut self) -> anyhow::Result<UnixStream> {
        let accepting = self.offer.as_mut().expect("it was bound at the start").accept();
        match self.args.wait {
            None => accepting.await,
            Some(time) => timeout(time, accepting).await.unwrap_or_else(|_| {
                bail!("no receiver connected to {} within {} s", self.args.socket.0, time.as_secs_f64())
            }),
        }
    }
}
