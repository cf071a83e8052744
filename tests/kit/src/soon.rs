//! A hang is a failure with a name.

use std::{future::Future, time::Duration};

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
