//! Producers that connect to a listener of ours.

use frame_codec::Framing;
use uds_actor::{AcceptStats, Listener};

use crate::{Error, Place, Via, site::Site};

/// Accepts until the funnel stops, then takes in those who already wait, so that nothing they sent is lost.
pub(crate) async fn run<F: Framing + Clone + Send + 'static>(mut listener: Listener, site: Site<F>) -> AcceptStats {
    let address = listener.address().clone();
    loop {
        let accepted = tokio::select! {
            () = site.stop.asked() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // The listening socket is broken for good. Other sources are not.
                let stats = listener.stats().clone();
                drop(site.trouble(Place::Socket(address), Error::Socket(error)).await);
                return stats;
            }
        };
        // At the limit one connection waits here, and the others in the kernel: a listener that nobody connects to holds
        // no slot.
        let slot = site.slot().await;
        if site.attach(stream, (address.clone(), Via::Listener, peer), slot).await.is_err() {
            return listener.stats().clone();
        }
    }
    let mut draining = listener.into_draining();
    while let Ok(Some((stream, peer))) = draining.accept().await {
        let slot = site.slot().await;
        if site.attach(stream, (address.clone(), Via::Listener, peer), slot).await.is_err() {
            break;
        }
    }
    draining.stats().clone()
}
