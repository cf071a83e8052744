//! Producers that connect to one of our listeners.

use std::time::Duration;

use frame_codec::Framing;
use tokio::{
    net::UnixStream,
    time::{Instant, sleep_until},
};
use uds_actor::{AcceptStats, Accepted, Address, Listener, Peer};

use crate::{
    Error, Event, Place, Via,
    site::{Arrival, FunnelGone, Site},
};

/// The pause between attempts to take a lost name again.
const REBIND_PAUSE: Duration = Duration::from_secs(1);

/// Accepts until the funnel stops, then takes in those who already wait, so that nothing they sent is lost.
pub(crate) async fn run<F: Framing + Clone + Send + 'static>(
    listener: Listener,
    rebind: bool,
    site: Site<F>,
) -> AcceptStats {
    let source = Source { address: listener.address().clone(), rebind, site, is_short: false, told_rebind: false };
    source.run(listener).await
}

/// One listener of a funnel.
struct Source<F> {
    address: Address,
    /// Whether to take the name again when it is lost.
    rebind: bool,
    site: Site<F>,
    /// Whether a shortage was told that is not over.
    is_short: bool,
    /// Whether it was told why the name cannot be taken again.
    told_rebind: bool,
}

impl<F: Framing + Clone + Send + 'static> Source<F> {
    async fn run(mut self, mut listener: Listener) -> AcceptStats {
        if self.accept(&mut listener).await.is_err() {
            return listener.stats().clone();
        }
        let mut draining = listener.into_draining();
        loop {
            let told = match self.site.in_time(draining.next()).await {
                Some(Ok(Some(accepted))) => self.take(accepted).await,
                Some(Err(error)) => {
                    drop(self.trouble(Error::Socket(error)).await);
                    break;
                }
                Some(Ok(None)) | None => break,
            };
            if told.is_err() {
                break;
            }
        }
        draining.stats().clone()
    }

    /// Accepts until the funnel stops. Fails when there is nothing left to drain.
    async fn accept(&mut self, listener: &mut Listener) -> Result<(), FunnelGone> {
        for warning in listener.warnings() {
            self.trouble(Error::Limited { why: warning.to_string() }).await?;
        }
        let mut rebind_at = None;
        loop {
            let accepted = tokio::select! {
                () = self.site.stop.asked() => return Ok(()),
                accepted = listener.next() => accepted,
                () = sleep_until(rebind_at.unwrap_or_else(Instant::now)), if rebind_at.is_some() => {
                    rebind_at = self.take_name(listener).await?;
                    continue;
                }
            };
            match accepted {
                Ok(Accepted::NameLost(loss)) => {
                    self.tell(Event::NameLost { place: self.place(), loss }).await?;
                    if self.rebind {
                        rebind_at = self.take_name(listener).await?;
                    }
                }
                Ok(accepted) => self.take(accepted).await?,
                Err(error) => {
                    // The listening socket is broken. Other sources are not.
                    drop(self.trouble(Error::Socket(error)).await);
                    return Err(FunnelGone);
                }
            }
        }
    }

    async fn take(&mut self, accepted: Accepted) -> Result<(), FunnelGone> {
        match accepted {
            Accepted::Connection(stream, peer) => {
                self.is_short = false;
                self.let_in(stream, peer).await
            }
            Accepted::Rejected(peer) => self.tell(Event::Rejected { place: self.place(), peer }).await,
            Accepted::Trouble(source) if !std::mem::replace(&mut self.is_short, true) => {
                self.trouble(Error::Shortage { address: self.address.clone(), source }).await
            }
            _ => Ok(()),
        }
    }

    /// Waits for a slot only when there is a connection for it: a listener that waits takes none from other sources.
    async fn let_in(&self, stream: UnixStream, peer: Peer) -> Result<(), FunnelGone> {
        let slot = self.site.in_time(self.site.slot()).await.ok_or(FunnelGone)?;
        self.site.attach(stream, (self.address.clone(), Via::Listener, peer), slot).await.map(drop)
    }

    /// Takes the name again; otherwise answers when to try next.
    async fn take_name(&mut self, listener: &mut Listener) -> Result<Option<Instant>, FunnelGone> {
        match listener.rebind() {
            Ok(()) => {
                self.told_rebind = false;
                self.tell(Event::Rebound(self.place())).await?;
                Ok(None)
            }
            Err(error) => {
                if !std::mem::replace(&mut self.told_rebind, true) {
                    self.trouble(Error::Socket(error)).await?;
                }
                Ok(Some(Instant::now() + REBIND_PAUSE))
            }
        }
    }

    fn place(&self) -> Place {
        Place::Socket(self.address.clone())
    }

    async fn trouble(&self, error: Error) -> Result<(), FunnelGone> {
        self.site.trouble(self.place(), error).await
    }

    async fn tell(&self, event: Event) -> Result<(), FunnelGone> {
        self.site.tell(Arrival::Event(event)).await
    }
}
