//! Values of options: how text on the command line becomes a mode, a size, a time or a directory.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt as _,
    path::PathBuf,
    time::Duration,
};

use clap::builder::{OsStringValueParser, TypedValueParser as _, ValueParser};
use uds_actor::Mode;

use crate::address;

pub(super) fn mode(text: &str) -> Result<Mode, String> {
    Mode::octal(text).map_err(|error| error.to_string())
}

/// A number of bytes, at least one; `k`, `m` or `g` after it means KiB, MiB or GiB.
pub(super) fn bytes(text: &str) -> Result<usize, String> {
    let (number, unit) = split(text);
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1_usize << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => return Err(format!("{unit:?} is not a unit of size: write 500, 64k, 1m or 1g")),
    };
    let number: usize = number.parse().map_err(|_| "not a number of bytes: write 500, 64k, 1m or 1g".to_owned())?;
    match number.checked_mul(factor) {
        Some(0) => Err("a message has at least one byte".to_owned()),
        Some(bytes) => Ok(bytes),
        None => Err("more bytes than this machine can address".to_owned()),
    }
}

/// A number of seconds, or of the unit `ms`, `s`, `m`, `h` or `d` after it. Fractions are allowed.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text);
    let factor = match unit.to_ascii_lowercase().as_str() {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return Err(format!("{unit:?} is not a unit of time: write 0.5, 500ms, 10s, 2m, 1h or 1d")),
    };
    let number: f64 = number.parse().map_err(|_| "not a time: write 0.5, 500ms, 10s, 2m, 1h or 1d".to_owned())?;
    Duration::try_from_secs_f64(number * factor).map_err(|error| error.to_string())
}

/// A count of at least one.
pub(super) fn count(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(0) => Err("at least one".to_owned()),
        parsed => parsed.map_err(|_| "not a count".to_owned()),
    }
}

/// A directory; its kind may be in front. A path may be any bytes.
pub(super) fn directory() -> ValueParser {
    OsStringValueParser::new().try_map(|text: OsString| parse_directory(text.as_bytes())).into()
}

/// A directory or a socket; its kind may be in front.
pub(super) fn place() -> ValueParser {
    OsStringValueParser::new().try_map(|text: OsString| parse_place(text.as_bytes())).into()
}

fn parse_directory(text: &[u8]) -> Result<PathBuf, String> {
    match text.strip_prefix(b"dir:") {
        Some(path) => path_of(path),
        None => plain_path(text, "a directory of sockets, as a path or dir:/PATH"),
    }
}

fn parse_place(text: &[u8]) -> Result<PathBuf, String> {
    match (text.strip_prefix(b"unix:"), text.strip_prefix(b"dir:")) {
        (Some([b'@', ..]), _) => Err("an abstract name has no file to inspect; `ss -xl` lists them".to_owned()),
        (Some(path), _) | (_, Some(path)) => path_of(path),
        (None, None) => plain_path(text, "directories and sockets, as paths, dir:/PATH or unix:/PATH"),
    }
}

/// A path without a kind in front. If it looks like another kind of address, it is a path only if that file exists, for
/// example because a shell expanded `*`.
fn plain_path(text: &[u8], taken: &str) -> Result<PathBuf, String> {
    let path = path_of(text)?;
    let kind = address::kind(text).map(|(kind, _)| [kind, b":"].concat());
    match kind.or_else(|| text.starts_with(b"@").then(|| b"@".to_vec())) {
        Some(kind) if path.symlink_metadata().is_err() => Err(format!(
            "{} is not understood here: this command takes {taken}; for a file of this name, write ./{}",
            kind.escape_ascii(),
            text.escape_ascii(),
        )),
        _ => Ok(path),
    }
}

fn path_of(text: &[u8]) -> Result<PathBuf, String> {
    if text.is_empty() { Err("an empty path".to_owned()) } else { Ok(OsStr::from_bytes(text).into()) }
}

/// The number and its unit.
fn split(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_a_path_and_no_other_kind_of_address() {
        for (text, path) in
            [("/run", "/run"), ("dir:/run", "/run"), ("dir:a:b", "a:b"), ("./a:b", "./a:b"), ("1:2", "1:2")]
        {
            assert_eq!(parse_directory(text.as_bytes()), Ok(path.into()), "{text}");
            assert_eq!(parse_place(text.as_bytes()), Ok(path.into()), "{text}");
        }
        assert_eq!(parse_place(b"unix:/run/a.sock"), Ok("/run/a.sock".into()));
        for (text, words) in [
            ("", "empty"),
            ("dir:", "empty"),
            ("unix:/run", "unix: is not understood here: this command takes a directory"),
            ("systemd:in", "systemd: is not understood"),
            ("zk://a", "write ./zk://a"),
            ("@a", "@ is not understood"),
        ] {
            let error = parse_directory(text.as_bytes()).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
        for text in ["", "dir:", "unix:", "unix:@a", "systemd:in", "@a"] {
            assert!(parse_place(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_have_units() {
        for (text, expected) in
            [("1", 1), ("500", 500), ("500b", 500), ("1k", 1024), ("64K", 65_536), ("2MiB", 2 << 20), ("1g", 1 << 30)]
        {
            assert_eq!(bytes(text), Ok(expected), "{text}");
        }
        for text in ["", "0", "0k", "k", "many", "-1", "1.5k", "1 k", "1t", "99999999999g", "1k1"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_have_units() {
        for (text, milliseconds) in [
            ("0", 0),
            ("1", 1000),
            ("0.25", 250),
            ("500ms", 500),
            ("10s", 10_000),
            ("1.5m", 90_000),
            ("1h", 3_600_000),
            ("1d", 86_400_000),
        ] {
            assert_eq!(seconds(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "s", "soon", "-1", "-1s", "1w", "1 s", "inf", "nan", "1e300d"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
