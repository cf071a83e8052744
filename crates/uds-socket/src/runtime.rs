//! Whether there is a runtime.

use crate::error::NoRuntime;

/// That there is a runtime which could own a socket.
pub(crate) fn in_runtime() -> Result<(), NoRuntime> {
    tokio::runtime::Handle::try_current().map(drop).map_err(|_| NoRuntime)
}
