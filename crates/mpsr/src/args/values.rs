//! Values of options: how text on the command line becomes a mode, a size, a time or a directory.

use std::{path::PathBuf, time::Duration};

use uds_actor::Mode;

pub(super) fn mode(text: &str) -> Result<Mode, String> {
    Mode::octal(text).map_err(|error| error.to_string())
}

pub(super) fn bytes(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("a message has at least one byte".to_owned()),
        parsed => parsed.map_err(|_| "not a number of bytes".to_owned()),
    }
}

pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    text.parse()
        .map(Duration::try_from_secs_f64)
        .map_err(|_| "not a number of seconds".to_owned())?
        .map_err(|error| error.to_string())
}

pub(super) fn directory(text: &str) -> Result<PathBuf, String> {
    match text.strip_prefix("dir:").unwrap_or(text) {
        "" => Err("an empty path".to_owned()),
        path => Ok(path.into()),
    }
}
