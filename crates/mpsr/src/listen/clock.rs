//! The time of day, for `--timestamps`.

use std::time::{SystemTime, UNIX_EPOCH};

/// The time in UTC with microseconds, in the format of RFC 3339: `2026-03-01T12:00:00.000000Z`.
pub(super) fn rfc3339(time: SystemTime) -> String {
    // A clock before 1970 was never set.
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (seconds, micros) = (since.as_secs(), since.subsec_micros());
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
}

/// The date this many days after 1970-01-01. Years begin in March, so that a leap day is the last day of its year.
const fn date(days: u64) -> (u64, u64, u64) {
    // Days since 0000-03-01.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + (month <= 2) as u64;
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_those_of_date_1() {
        for (seconds, text) in [
            (0.0, "1970-01-01T00:00:00.000000Z"),
            (951_782_399.5, "2000-02-28T23:59:59.500000Z"),
            (951_868_799.0, "2000-02-29T23:59:59.000000Z"),
            (951_868_800.0, "2000-03-01T00:00:00.000000Z"),
            (1_709_164_800.25, "2024-02-29T00:00:00.250000Z"),
            (4_107_542_399.0, "2100-02-28T23:59:59.000000Z"),
            (4_107_542_400.0, "2100-03-01T00:00:00.000000Z"),
            (1_795_897_800.0, "2026-11-28T20:30:00.000000Z"),
        ] {
            assert_eq!(rfc3339(UNIX_EPOCH + Duration::from_secs_f64(seconds)), text);
        }
    }
}
