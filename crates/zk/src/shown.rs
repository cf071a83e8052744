//! How things look in text: a history as zkCli prints it, and times.

use terminal_text::escaped_cell;
use zk_client::Stat;

/// A name or a path among our words.
pub(crate) fn name(name: &str) -> String {
    escaped_cell(name.as_bytes())
}

/// A node's history: the fields and the order of zkCli, with times in UTC.
pub(crate) fn stat(stat: &Stat) -> String {
    format!(
        "cZxid = {:#x}\nctime = {}\nmZxid = {:#x}\nmtime = {}\npZxid = {:#x}\ncversion = {}\ndataVersion = {}\n\
         aclVersion = {}\nephemeralOwner = {}\ndataLength = {}\nnumChildren = {}",
        stat.czxid.0,
        time(stat.ctime),
        stat.mzxid.0,
        time(stat.mtime),
        stat.pzxid.0,
        stat.cversion,
        stat.version,
        stat.aversion,
        stat.ephemeral_owner,
        stat.data_length,
        stat.num_children,
    )
}

/// Milliseconds since 1970 as RFC 3339 in UTC. A server may send any number: years have more digits then, or a sign.
fn time(millis: i64) -> String {
    let (days, rest) = (millis.div_euclid(86_400_000), millis.rem_euclid(86_400_000));
    let (year, month, day) = civil(days);
    let (hours, minutes, seconds, millis) = (rest / 3_600_000, rest / 60_000 % 60, rest / 1000 % 60, rest % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{millis:03}Z")
}

/// Days since 1970 as a date of the Gregorian calendar (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms").
const fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + (month <= 2) as i64, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_795_247_291_776, "2026-11-21T07:48:11.776Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(time(millis), text);
        }
        // Any number a server sends.
        for millis in [i64::MIN, i64::MAX] {
            assert!(time(millis).ends_with('Z'));
        }
    }

    #[test]
    fn a_history_has_the_lines_of_zk_cli() {
        let text = stat(&Stat { data_length: 3, ..Stat::default() });
        assert_eq!(text.lines().count(), 11);
        assert!(text.contains("\nephemeralOwner = 0x0\ndataLength = 3\nnumChildren = 0"), "{text}");
    }
}
