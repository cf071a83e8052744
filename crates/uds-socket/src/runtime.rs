//! Whether there is a runtime.

use crate::error::{Error, Result};

/// That there is a runtime which could own a socket.
pub(crate) fn in_runtime() -> Result<()> {
    tokio::runtime::Handle::try_current().map(drop).map_err(|_| Error::NoRuntime)
}
