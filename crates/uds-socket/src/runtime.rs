//! Whether there is a runtime.

use crate::error::NoRuntime;

/// Returns an error unless there is a runtime that could own a socket.
pub(crate) fn in_runtime() -> Result<(), NoRuntime> {
    tokio::runtime::Handle::try_current().map(drop).map_err(|_| NoRuntime)
}
