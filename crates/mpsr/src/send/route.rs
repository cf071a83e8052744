//! How connections come about: we connect, or the receiver connects to us.

use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::{
    io::Interest,
    net::UnixStream,
    time::{sleep, timeout},
};
use uds_actor::{Accepted, Address, Listener};

use crate::{args::Send, notes::note, text::escaped_words, words};

/// Waiting without an end: as long as a clock can count.
const UNLIMITED: Duration = Duration::from_secs(u32::MAX as u64);

/// A connection to `send --bind` that hangs up within this time is a probe, and gets no message. A receiver stays.
const PROBE: Duration = Duration::from_millis(20);

/// The pauses before connecting again to a receiver that hung up before anything was sent.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LAST_PAUSE: Duration = Duration::from_secs(1);

/// What fails when we cannot listen.
const CANNOT_OFFER: &str = "cannot offer messages";

/// The way to a receiver.
pub(super) struct Route<'a> {
    args: &'a Send,
    /// With `--bind`.
    listener: Option<Listener>,
    pause: Duration,
}

impl<'a> Route<'a> {
    /// Binds, if that is asked for.
    pub(super) fn new(args: &'a Send) -> anyhow::Result<Self> {
        let listener = match args.bind {
            true => {
                let bind = args.file.apply(args.socket.bind());
                let bind = args.access.admit().map_or(bind.clone(), |admit| bind.admit(admit));
                let listener = bind.listen().map_err(|error| words::bind(CANNOT_OFFER, &error))?;
                listener.warnings().iter().for_each(|warning| note_of(args, &warning.to_string()));
                if let Address::Path(path) = &args.socket.0
                    && let Some(warning) = args.access.unreachable(&args.file, path)
                {
                    note_of(args, &warning);
                }
                Some(listener)
            }
            false => None,
        };
        Ok(Self { args, listener, pause: FIRST_PAUSE })
    }

    /// The first connection.
    pub(super) async fn open(&mut self) -> anyhow::Result<UnixStream> {
        if self.listener.is_some() {
            return self.accept().await;
        }
        self.connect(self.args.wait.unwrap_or_default()).await
    }

    /// A further one, after the last ended; `progress` says whether anything was sent on that.
    pub(super) async fn reopen(&mut self, progress: bool) -> anyhow::Result<UnixStream> {
        if self.listener.is_some() {
            return self.accept().await;
        }
        if progress {
            self.pause = FIRST_PAUSE;
        } else {
            sleep(self.pause).await;
            self.pause = (self.pause * 2).min(LAST_PAUSE);
        }
        self.connect(self.args.wait.unwrap_or(UNLIMITED)).await
    }

    async fn connect(&self, time: Duration) -> anyhow::Result<UnixStream> {
        let connected = self.args.socket.connect().deadline(time).connect().await;
        connected.map_err(|error| words::connect(error, !time.is_zero()))
    }

    async fn accept(&mut self) -> anyhow::Result<UnixStream> {
        let accepting = accept(self.args, self.listener.as_mut().expect("it was bound at the start"));
        match self.args.wait {
            None => accepting.await,
            Some(time) => timeout(time, accepting).await.unwrap_or_else(|_| {
                bail!("no receiver connected to {} within {} s", self.args.socket.0, time.as_secs_f64())
            }),
        }
    }
}

/// Waits for a connection that stays. What keeps receivers away is said, because otherwise it looks as if none had come.
async fn accept(args: &Send, listener: &mut Listener) -> anyhow::Result<UnixStream> {
    let mut is_short = false;
    loop {
        match listener.next().await.context(CANNOT_OFFER)? {
            Accepted::Connection(stream, _) if !is_probe(&stream).await => return Ok(stream),
            Accepted::Rejected(peer) => {
                note_of(args, &format!("rejected {}: not admitted", words::peer(peer.as_ref())))
            }
            Accepted::NameLost(loss) => note_of(args, &format!("{loss}, so that no receiver finds it")),
            Accepted::Trouble(error) if !std::mem::replace(&mut is_short, true) => {
                note_of(args, &format!("cannot accept connections for now: {error}"));
            }
            _ => {}
        }
    }
}

fn note_of(args: &Send, what: &str) {
    note(&escaped_words(&format!("mpsr: {}: {what}", args.socket.0)));
}

/// Whether the other side hangs up at once.
async fn is_probe(stream: &UnixStream) -> bool {
    let readable = timeout(PROBE, stream.ready(Interest::READABLE)).await;
    readable.is_ok() && is_hung_up(stream)
}

fn is_hung_up(stream: &UnixStream) -> bool {
    let mut sockets = [PollFd::new(stream, PollFlags::empty())];
    poll(&mut sockets, Some(&Timespec::default())).is_ok() && sockets[0].revents().contains(PollFlags::HUP)
}
