//! Producers that connect to a listener of ours.

use frame_codec::Framing;
use tokio::net::UnixStream;
use uds_actor::{AcceptStats, Address, Listener, Peer};

use crate::{
    Error, Place, Via,
    site::{FunnelGone, Site},
};

/// Accepts until the funnel stops, then takes in those who already wait, so that nothing they sent is lost.
pub(crate) async fn run<F: Framing + Clone + Send + 'static>(mut listener: Listener, site: Site<F>) -> AcceptStats {
    let address = listener.address().clone();
    loop {
        let accepted = tokio::select! {
            () = site.stop.asked() => break,
            accepted = listener.accept() => accepted,
        };
        let let_in = match accepted {
            Ok(accepted) => let_in(accepted, &address, &site).await,
            Err(error) => {
                // The listening socket is broken for good. Other sources are not.
                drop(site.trouble(Place::Socket(address), Error::Socket(error)).await);
                return listener.stats().clone();
            }
        };
        if let_in.is_err() {
            return listener.stats().clone();
        }
    }
    let mut draining = listener.into_draining();
    while let Some(Ok(Some(accepted))) = site.in_time(draining.accept()).await {
        if let_in(accepted, &address, &site).await.is_err() {
            break;
        }
    }
    draining.stats().clone()
}

/// Waits for a slot only when somebody has come who needs it: a listener that waits takes none from other sources.
async fn let_in<F: Framing + Clone + Send + 'static>(
    (stream, peer): (UnixStream, Peer),
    address: &Address,
    site: &Site<F>,
) -> Result<(), FunnelGone> {
    let slot = site.in_time(site.slot()).await.ok_or(FunnelGone)?;
    site.attach(stream, (address.clone(), Via::Listener, peer), slot).await.map(drop)
}
