//! Scenarios in tokio.

use std::{fmt::Debug, time::Duration};

use tokio::{runtime::Builder, time::timeout};

use crate::{Check, Drops, Error, Survey, executor::GaveUp};

impl Check {
    /// Runs the scenario under every plan, each time in a new current-thread runtime with all drivers, for at most `limit`
    /// (of real time).
    ///
    /// ```
    /// # use std::time::Duration;
    /// use cancel_kit::{Check, Drops};
    /// use tokio::io::{AsyncReadExt, AsyncWriteExt};
    ///
    /// let survey = Check::new().run_in_tokio(Duration::from_secs(10), async |drops: Drops| {
    ///     let (mut here, mut there) = tokio::io::duplex(1);
    ///     let writing = tokio::spawn(async move { there.write_all(b"one by one").await });
    ///     let mut text = Vec::new();
    ///     while drops.drive(async || here.read_buf(&mut text).await).await.is_ok_and(|read| read > 0) {}
    ///     assert!(writing.await.is_ok());
    ///     text
    /// });
    /// assert!(survey.is_ok(), "read_buf is cancel safe");
    /// ```
    ///
    /// # Errors
    ///
    /// The first plan under which the outcome differs, or there is none in time.
    ///
    /// # Panics
    ///
    /// If the machine has no descriptors or threads left for a runtime.
    pub fn run_in_tokio<O: PartialEq + Debug>(
        self,
        limit: Duration,
        scenario: impl AsyncFnMut(Drops) -> O,
    ) -> Result<Survey, Error<O>> {
        self.survey(
            |future| {
                let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime can be had");
                runtime.block_on(async { timeout(limit, future).await }).map_err(|_| GaveUp::Late(limit))
            },
            scenario,
        )
    }
}
