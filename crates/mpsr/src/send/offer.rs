//! The socket on which `send --bind` offers its messages.

use std::{future::pending, io, time::Duration};

use anyhow::Context as _;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::{
    io::Interest,
    net::UnixStream,
    time::{Instant, sleep_until, timeout},
};
use uds_actor::{Accepted, Address, Listener};

use crate::{args::Send, notes::note, text::escaped_words, words};

/// The first part of the message if we cannot listen.
const CANNOT_OFFER: &str = "cannot offer messages";

/// A connection that ends within this time is a probe, and gets no message. A receiver stays.
const PROBE: Duration = Duration::from_millis(20);

/// The pause between attempts to bind a lost name again.
const REBIND_PAUSE: Duration = Duration::from_secs(1);

/// A listener, and which problems were reported: the user may be able to fix why no receiver comes.
#[derive(Debug)]
pub(super) struct Offer {
    listener: Listener,
    address: String,
    rebind: bool,
    /// When to try to bind the name again, after it was lost.
    rebind_at: Option<Instant>,
    /// Whether we reported why the name cannot be bound again, and why no connection can be accepted.
    is_told: Told,
}

#[derive(Debug, Default)]
struct Told {
    no_name: bool,
    shortage: bool,
}

impl Offer {
    /// Binds.
    pub(super) fn new(args: &Send) -> anyhow::Result<Self> {
        let bind = args.file.apply(args.socket.bind());
        let bind = args.access.admit().map_or(bind.clone(), |admit| bind.admit(admit));
        let listener = bind.listen().map_err(|error| words::bind(CANNOT_OFFER, &error))?;
        let address = escaped_words(&args.socket.0.to_string());
        for warning in listener.warnings() {
            note(&format!("mpsr: {address}: {warning}"));
        }
        if let Address::Path(path) = &args.socket.0
            && let Some(warning) = args.access.unreachable(&args.file, path)
        {
            note(&format!("mpsr: {address}: {warning}"));
        }
        Ok(Self { listener, address, rebind: args.file.rebind, rebind_at: None, is_told: Told::default() })
    }

    /// Waits for a connection that stays. In the meantime, reports rejected peers and the loss of the name.
    pub(super) async fn accept(&mut self) -> anyhow::Result<UnixStream> {
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.next() => accepted.context(CANNOT_OFFER)?,
                () = until(self.rebind_at) => {
                    self.take_name();
                    continue;
                }
            };
            match accepted {
                Accepted::Connection(stream, _) => {
                    self.is_told.shortage = false;
                    if !is_probe(&stream).await {
                        return Ok(stream);
                    }
                }
                Accepted::Rejected(peer) => note(&words::rejected(&self.address, peer.as_ref())),
                Accepted::NameLost(loss) => {
                    note(&words::name_lost(&self.address, loss, "receiver", self.rebind));
                    if self.rebind {
                        self.take_name();
                    }
                }
                Accepted::Trouble(error) => self.say_once(&error),
                _ => {}
            }
        }
    }

    /// Binds the name again, or reports the reason once and tries again later.
    fn take_name(&mut self) {
        self.rebind_at = match self.listener.rebind() {
            Ok(()) => {
                self.is_told.no_name = false;
                note(&words::rebound(&self.address));
                None
            }
            Err(error) => {
                if !std::mem::replace(&mut self.is_told.no_name, true) {
                    let why = words::bind("cannot take the name again", &error);
                    note(&format!("mpsr: {}: {}", self.address, escaped_words(&why.to_string())));
                }
                Some(Instant::now() + REBIND_PAUSE)
            }
        };
    }

    fn say_once(&mut self, shortage: &io::Error) {
        if !std::mem::replace(&mut self.is_told.shortage, true) {
            note(&format!("mpsr: {}: a receiver cannot be accepted for now: {shortage}", self.address));
        }
    }
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}

/// Whether the peer hangs up at once.
async fn is_probe(stream: &UnixStream) -> bool {
    let readable = timeout(PROBE, stream.ready(Interest::READABLE)).await;
    readable.is_ok() && is_hung_up(stream)
}

fn is_hung_up(stream: &UnixStream) -> bool {
    let mut sockets = [PollFd::new(stream, PollFlags::empty())];
    poll(&mut sockets, Some(&Timespec::default())).is_ok() && sockets[0].revents().contains(PollFlags::HUP)
}
