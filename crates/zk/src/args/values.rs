//! Values of options: how text becomes a time, a version or a word.

use std::time::Duration;

use zk_client::Version;

/// Seconds, or with a unit behind the number.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    time(text, 1.0)
}

/// Milliseconds, or with a unit behind the number: zkCli takes milliseconds here.
pub(super) fn milliseconds(text: &str) -> Result<Duration, String> {
    time(text, 0.001)
}

fn time(text: &str, default: f64) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len()));
    let factor = match unit {
        "" => default,
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err("not a unit of time: write 500ms, 10s, 2m or 1h".to_owned()),
    };
    let number: f64 = number.parse().map_err(|_| "not a time: write 500ms, 10s, 2m or 1h".to_owned())?;
    match Duration::try_from_secs_f64(number * factor) {
        Ok(Duration::ZERO) => Err("a time is more than nothing".to_owned()),
        time => time.map_err(|error| error.to_string()),
    }
}

/// A version of a node's data; -1 is for any, as in zkCli.
pub(super) fn version(text: &str) -> Result<Version, String> {
    match text.parse() {
        Ok(-1) => Ok(Version::Any),
        Ok(version) => Ok(Version::Is(version)),
        Err(_) => Err("not a version: a number from -2147483648 to 2147483647, or -1 for any".to_owned()),
    }
}

/// Four ASCII letters.
pub(super) fn four_letters(text: &str) -> Result<String, String> {
    let is_word = text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_lowercase());
    if is_word { Ok(text.to_owned()) } else { Err("a word has four lower-case letters".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (text, millis) in [("10", 10_000), ("1.5s", 1_500), ("20ms", 20), ("2m", 120_000), ("1h", 3_600_000)] {
            assert_eq!(seconds(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(milliseconds("250"), Ok(Duration::from_millis(250)));
        assert_eq!(milliseconds("2s"), Ok(Duration::from_secs(2)));
        for text in ["", "s", "-1", "0", "1d", "nan", "inf", "1e400"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn minus_one_is_any_version() {
        assert_eq!(version("-1"), Ok(Version::Any));
        assert_eq!(version("-2"), Ok(Version::Is(-2)));
        assert!(version("x").is_err());
    }

    #[test]
    fn a_word_has_four_letters() {
        assert_eq!(four_letters("srvr").as_deref(), Ok("srvr"));
        for text in ["", "srv", "srvrx", "s\u{e9}r", "SRVR", "a\nbc"] {
            assert!(four_letters(text).is_err(), "{text}");
        }
    }
}
