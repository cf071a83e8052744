//! Producers that connect to a listener of the funnel.

use std::{future::pending, io, pin::pin, sync::Arc, time::Duration};

use frame_codec::Framing;
use futures_util::FutureExt as _;
use rustix::net::{RecvFlags, recv};
use tokio::{
    net::UnixStream,
    time::{Instant, sleep_until},
};
use uds_actor::{AcceptError, Accepted, Address, Draining, Listener, NameLoss, Peer};

use crate::{
    Error, Event, Place, Via,
    admission::{Denied, Pass},
    site::{Arrival, Site},
};

/// The pause between attempts to bind a lost name again.
const REBIND_PAUSE: Duration = Duration::from_secs(1);

/// Accepts until the funnel stops or is full. Then admits the connections that were waiting, as long as there is time,
/// and counts the others.
pub(crate) async fn run<F: Framing + Clone + Send + 'static>(listener: Listener, rebind: bool, site: Site<F>) {
    let address = listener.address().clone();
    let mut source = Source { address, rebind, site, shortage: None, rebind_at: None, told_rebind: false, unread: 0 };
    source.run(listener).await;
    if source.unread > 0 {
        source.site.admission.count(|counts| counts.unread += source.unread);
        source.tell(Event::Unread { place: source.place(), connections: source.unread }).await;
    }
}

/// One listener of a funnel.
struct Source<F> {
    address: Address,
    /// Whether to bind the name again when it is lost.
    rebind: bool,
    site: Site<F>,
    /// The current shortage of descriptors or memory, which was reported when it began.
    shortage: Option<io::Error>,
    /// When to try to bind the name again.
    rebind_at: Option<Instant>,
    /// Whether we reported why the name cannot be bound again.
    told_rebind: bool,
    /// Connections that were closed with nothing read from them.
    unread: u64,
}

impl<F: Framing + Clone + Send + 'static> Source<F> {
    async fn run(&mut self, mut listener: Listener) {
        if let Err(error) = self.accept(&mut listener).await {
            // The listening socket is broken, but other sources still work.
            self.site.admission.count_listener(listener.stats());
            self.fail(Error::Accept(error)).await;
            return;
        }
        let mut draining = listener.into_draining();
        let drained = self.drain(&mut draining).await;
        self.site.admission.count_listener(draining.stats());
        if let Err(error) = drained {
            self.fail(error).await;
        }
    }

    /// Accepts until the funnel stops or is full.
    async fn accept(&mut self, listener: &mut Listener) -> Result<(), AcceptError> {
        for warning in listener.warnings() {
            self.trouble(Error::Limited { why: warning.to_string() }).await;
        }
        loop {
            let accepted = tokio::select! {
                // A flood of connections must delay neither the end nor the rebinding.
                biased;
                () = self.site.stop.asked() => return Ok(()),
                () = self.site.admission.full() => return Ok(()),
                () = until(self.rebind_at) => {
                    self.take_name(listener).await;
                    continue;
                }
                accepted = listener.next() => accepted?,
            };
            match accepted {
                Accepted::NameLost(loss) => self.lose_name(listener, loss).await,
                Accepted::Connection(stream, peer) => {
                    self.shortage = None;
                    let admission = Arc::clone(&self.site.admission);
                    let mut passing = pin!(admission.pass(Some(peer.uid())));
                    // If there is no free slot, this may take long.
                    let pass = loop {
                        tokio::select! {
                            biased;
                            pass = self.site.in_time(passing.as_mut()) => break pass,
                            () = until(self.rebind_at) => self.take_name(listener).await,
                            loss = listener.name_lost() => self.lose_name(listener, loss).await,
                        }
                    };
                    self.let_in(stream, peer, pass).await;
                }
                accepted => self.take(accepted).await,
            }
        }
    }

    /// Admits the connections that were waiting, and counts those for which there is no time or no room.
    async fn drain(&mut self, draining: &mut Draining) -> Result<(), Error> {
        while let Some(next) = self.site.in_time(draining.next()).await {
            match next.map_err(Error::Accept)? {
                Some(accepted) => self.take(accepted).await,
                None => return Ok(()),
            }
        }
        // Taking a connection that is there does not wait; only a shortage causes a pause.
        while let Some(next) = draining.next().now_or_never() {
            match next.map_err(Error::Accept)? {
                Some(Accepted::Connection(stream, _)) => self.close_unread(&stream),
                Some(accepted) => self.take(accepted).await,
                None => return Ok(()),
            }
        }
        let source = self.shortage.take().unwrap_or_else(|| io::ErrorKind::TimedOut.into());
        Err(Error::Undrained { address: self.address.clone(), source })
    }

    async fn take(&mut self, accepted: Accepted<UnixStream>) {
        match accepted {
            Accepted::Connection(stream, peer) => {
                self.shortage = None;
                let pass = self.site.in_time(self.site.admission.pass(Some(peer.uid()))).await;
                self.let_in(stream, peer, pass).await;
            }
            Accepted::Rejected(peer) => self.tell(Event::Rejected { place: self.place(), peer }).await,
            Accepted::Trouble(source) => {
                let copy = source.raw_os_error().map_or_else(|| source.kind().into(), io::Error::from_raw_os_error);
                if self.shortage.replace(copy).is_none() {
                    self.trouble(Error::Shortage { address: self.address.clone(), source }).await;
                }
            }
            _ => {}
        }
    }

    /// It waits for `pass` only when there is a connection, so a waiting listener takes no slot from other sources.
    /// `None` if there was no time.
    async fn let_in(&mut self, stream: UnixStream, peer: Peer, pass: Option<Result<Pass, Denied>>) {
        match pass {
            Some(Ok(pass)) => {
                let producer = (self.address.clone(), Via::Listener, peer);
                if let Err(stream) = self.site.attach(stream, producer, pass).await {
                    self.close_unread(&stream);
                }
            }
            Some(Err(Denied::UserLimit)) => {
                self.site.admission.count(|counts| counts.over_limit += 1);
                self.tell(Event::OverLimit { place: self.place(), peer }).await;
            }
            Some(Err(Denied::Full)) | None => self.close_unread(&stream),
        }
    }

    /// Counts a connection that is about to be closed, unless its peer hung up without sending anything: then nothing
    /// is lost.
    fn close_unread(&mut self, stream: &UnixStream) {
        // Peek, and leave the data in the queue: a close with unread data resets the connection, which tells the peer.
        let found = recv(stream, &mut [0; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT);
        if !matches!(found, Ok((_, 0))) {
            self.unread += 1;
        }
    }

    async fn lose_name(&mut self, listener: &mut Listener, loss: NameLoss) {
        self.tell(Event::NameLost { place: self.place(), loss }).await;
        if self.rebind {
            self.take_name(listener).await;
        }
    }

    /// Binds the name again, or records when to try next.
    async fn take_name(&mut self, listener: &mut Listener) {
        match listener.rebind() {
            Ok(()) => {
                self.rebind_at = None;
                self.told_rebind = false;
                self.tell(Event::Rebound(self.place())).await;
            }
            Err(error) => {
                self.rebind_at = Some(Instant::now() + REBIND_PAUSE);
                if !std::mem::replace(&mut self.told_rebind, true) {
                    self.trouble(Error::Bind(error)).await;
                }
            }
        }
    }

    fn place(&self) -> Place {
        Place::Socket(self.address.clone())
    }

    async fn fail(&self, error: Error) {
        self.site.fail(self.place(), error).await;
    }

    async fn trouble(&self, error: Error) {
        self.site.trouble(self.place(), error).await;
    }

    async fn tell(&self, event: Event) {
        self.site.tell(Arrival::Event(event)).await;
    }
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}
