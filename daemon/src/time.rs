//! Points in time as people write them: RFC 3339 in UTC or with an offset, or so long ago.

use std::time::Duration;

use crate::config::parse_duration;

const NANOS: i64 = 1_000_000_000;
const DAY_SECONDS: i64 = 86_400;

/// Shows nanoseconds since 1970 as RFC 3339 in UTC.
pub(crate) fn show(nanos: i64) -> String {
    let (seconds, fraction) = (nanos.div_euclid(NANOS), nanos.rem_euclid(NANOS));
    let (day, second) = (seconds.div_euclid(DAY_SECONDS), seconds.rem_euclid(DAY_SECONDS));
    let (year, month, day) = civil(day);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:09}Z")
}

/// Reads a point in time into nanoseconds since 1970: `2026-01-31T12:00:00Z`, `2026-01-31`, `1h30m` (ago) or a whole
/// number of nanoseconds. `now` is the present.
pub(crate) fn parse(text: &str, now: i64) -> Result<i64, String> {
    let invalid = || format!("not a time such as 2026-01-31T12:00:00Z, 2026-01-31 or 90m (ago): {text:?}");
    if let Ok(nanos) = text.parse() {
        return Ok(nanos);
    }
    if let Ok(ago) = parse_duration(text) {
        return now.checked_sub(nanos_of(ago)).ok_or_else(invalid);
    }
    rfc3339(text).ok_or_else(invalid)
}

fn nanos_of(span: Duration) -> i64 {
    i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)
}

fn rfc3339(text: &str) -> Option<i64> {
    let (date, clock) = text
        .split_once(['T', 't', ' '])
        .map_or((text, None), |(date, clock)| (date, Some(clock)));
    let mut parts = date.split('-');
    let (year, month, day) = (
        number(parts.next()?, 4)?,
        number(parts.next()?, 2)?,
        number(parts.next()?, 2)?,
    );
    if parts.next().is_some() || !(1..=12).contains(&month) || !(1..=days_of(year, month)).contains(&day) {
        return None;
    }
    let seconds = days(year, month, day).checked_mul(DAY_SECONDS)?;
    let (clock_seconds, fraction) = clock.map_or(Some((0, 0)), time_of_day)?;
    seconds
        .checked_add(clock_seconds)?
        .checked_mul(NANOS)?
        .checked_add(fraction)
}

/// Seconds since midnight UTC and nanoseconds.
fn time_of_day(text: &str) -> Option<(i64, i64)> {
    let zone_at = text.find(['Z', 'z', '+', '-'])?;
    let (clock, zone) = text.split_at_checked(zone_at)?;
    let (clock, fraction) = clock
        .split_once('.')
        .map_or((clock, "0"), |(clock, fraction)| (clock, fraction));
    let mut parts = clock.split(':');
    let (hour, minute, second) = (
        number(parts.next()?, 2)?,
        number(parts.next()?, 2)?,
        number(parts.next()?, 2)?,
    );
    if parts.next().is_some() || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    if fraction.is_empty() || fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nanos: i64 = format!("{fraction:0<9}").parse().ok()?;
    Some((hour * 3600 + minute * 60 + second - zone_seconds(zone)?, nanos))
}

fn zone_seconds(zone: &str) -> Option<i64> {
    let (sign, rest) = match zone.split_at_checked(1)? {
        ("Z" | "z", "") => return Some(0),
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hour, minute) = rest.split_once(':')?;
    let (hour, minute) = (number(hour, 2)?, number(minute, 2)?);
    (hour <= 23 && minute <= 59).then_some(sign * (hour * 3600 + minute * 60))
}

fn number(text: &str, digits: usize) -> Option<i64> {
    let all_digits = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    if all_digits { text.parse().ok() } else { None }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a date. Years are counted from March, so that the leap day is the last of its year, and in
/// cycles of 400 years, which have 146,097 days.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month_from_march) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let (cycle, year_of_cycle) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    cycle * 146_097 + year_of_cycle * 365 + year_of_cycle / 4 - year_of_cycle / 100 + day_of_year - 719_468
}

/// The date that is so many days after 1970-01-01.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (cycle, day_of_cycle) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_cycle =
        (day_of_cycle - day_of_cycle / 1_460 + day_of_cycle / 36_524 - day_of_cycle / 146_096) / 365;
    let day_of_year = day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = cycle * 400 + year_of_cycle + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_instants_are_shown_and_read() {
        let cases = [
            (0, "1970-01-01T00:00:00.000000000Z"),
            (951_782_400_000_000_001, "2000-02-29T00:00:00.000000001Z"),
            (1_700_000_000_123_456_789, "2023-11-14T22:13:20.123456789Z"),
            (-1, "1969-12-31T23:59:59.999999999Z"),
        ];
        for (nanos, text) in cases {
            assert_eq!(show(nanos), text);
            assert_eq!(parse(text, 0), Ok(nanos));
        }
    }

    #[test]
    fn other_ways_to_say_a_time_are_read() {
        let noon = 1_769_860_800_000_000_000;
        for text in [
            "2026-01-31T12:00:00Z",
            "2026-01-31 12:00:00.0z",
            "2026-01-31T14:30:00+02:30",
            "2026-01-31T07:00:00-05:00",
        ] {
            assert_eq!(parse(text, 0), Ok(noon), "{text}");
        }
        assert_eq!(parse("2026-01-31", 0), Ok(noon - 12 * 3600 * NANOS));
        assert_eq!(parse("1m", 100 * NANOS), Ok(40 * NANOS));
        assert_eq!(parse("1769860800000000000", 0), Ok(noon));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "yesterday",
            "2026-13-01",
            "2025-02-29",
            "2026-01-31T25:00:00Z",
            "2026-01-31T12:00:00",
            "2026-1-1",
            "9999-01-01T00:00:00Z",
        ] {
            assert!(parse(text, 0).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_instant_is_read_back_from_what_is_shown(nanos in any::<i64>()) {
            prop_assert_eq!(parse(&show(nanos), 0), Ok(nanos));
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "[-0-9TZ:.+ ]{0,40}") {
            let _ = parse(&text, 0);
        }
    }
}
