//! The two flavours of tokio's runtime.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tokio::runtime::Builder;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Flavour {
    /// Everything on the main thread.
    CurrentThread,
    /// Two workers.
    MultiThread,
}

impl Flavour {
    /// Runs `work`, a task like any other, to its end: servers serve in tasks, and the one future that a runtime blocks on
    /// is woken at the cost of an extra look at epoll.
    pub(crate) fn run<T: Send + 'static>(self, work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
        let runtime = match self {
            Self::CurrentThread => Builder::new_current_thread().enable_all().build()?,
            Self::MultiThread => Builder::new_multi_thread().worker_threads(2).enable_all().build()?,
        };
        runtime.block_on(async { tokio::spawn(work).await? })
    }
}
