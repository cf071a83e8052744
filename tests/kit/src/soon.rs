//! A hang is a failure with a name.

use std::{future::Future, panic::Location, time::Duration};

use tokio::time::timeout;

/// Longer than anything takes here.
pub const LONG: Duration = Duration::from_secs(30);

/// What the future gives, if it comes to an end.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match timeout(LONG, future).await {
        Ok(value) => value,
        Err(_) => panic!("still waiting for {what}"),
    }
}

/// The same, named by the line that waits.
#[track_caller]
pub fn in_time<T>(future: impl Future<Output = T>) -> impl Future<Output = T> {
    within(LONG, future)
}

/// The same with a limit of your own. With the clock paused, one that is far beyond all timeouts of the program passes at once if
/// nothing happens.
#[track_caller]
pub fn within<T>(limit: Duration, future: impl Future<Output = T>) -> impl Future<Output = T> {
    let place = Location::caller();
    async move {
        match timeout(limit, future).await {
            Ok(value) => value,
            Err(_) => panic!("still waiting at {place}"),
        }
    }
}
