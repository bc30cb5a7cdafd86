//! Durations in Go's notation, as Liftbridge's files hold them.

use std::time::Duration;

/// Go's units with their nanoseconds; both signs for micro are taken. Longer names first, so that `ms` is not read as `m`.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Why a text is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidDuration {
    /// It is not of Go's form.
    #[error("not a duration such as 15s, 1h30m or 168h")]
    Form,
    /// A number stands without its unit.
    #[error("a duration needs a unit, such as {0}s or {0}ms")]
    NoUnit(String),
    /// It is below zero.
    #[error("a duration cannot be negative")]
    Negative,
    /// It is over Go's range of 292 years.
    #[error("a duration cannot be longer than 292 years")]
    TooLong,
}

/// Reads `15s`, `1h30m`, `1.5h`, `250ms` or `0`.
pub(crate) fn parse(text: &str) -> Result<Duration, InvalidDuration> {
    let text = text.trim();
    if text.starts_with('-') {
        return Err(InvalidDuration::Negative);
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(InvalidDuration::Form);
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (nanos, after) = component(rest, text)?;
        total = total.checked_add(nanos).ok_or(InvalidDuration::TooLong)?;
        rest = after;
    }
    if total > i64::MAX as u64 {
        return Err(InvalidDuration::TooLong);
    }
    Ok(Duration::from_nanos(total))
}

/// One number with its unit, in nanoseconds, and what follows it.
fn component<'t>(rest: &'t str, whole: &str) -> Result<(u64, &'t str), InvalidDuration> {
    let (integer, rest) = digits(rest);
    let (fraction, rest) = rest.strip_prefix('.').map_or(("", rest), digits);
    if integer.is_empty() && fraction.is_empty() {
        return Err(InvalidDuration::Form);
    }
    let Some((unit, after)) = UNITS
        .iter()
        .find_map(|(name, nanos)| Some((*nanos, rest.strip_prefix(name)?)))
    else {
        let unitless = rest.is_empty() && !integer.is_empty();
        return Err(if unitless {
            InvalidDuration::NoUnit(whole.to_owned())
        } else {
            InvalidDuration::Form
        });
    };
    let integer: u64 = if integer.is_empty() {
        0
    } else {
        integer.parse().map_err(|_| InvalidDuration::TooLong)?
    };
    let nanos = integer.checked_mul(unit).ok_or(InvalidDuration::TooLong)?;
    let nanos = nanos
        .checked_add(fraction_of(fraction, unit))
        .ok_or(InvalidDuration::TooLong)?;
    Ok((nanos, after))
}

fn digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// The nanoseconds of these decimal digits of a unit, rounded down; what is finer than a nanosecond is cut off.
fn fraction_of(digits: &str, unit: u64) -> u64 {
    let (mut numerator, mut denominator) = (0_u64, 1_u64);
    for digit in digits.bytes().take(15) {
        numerator = numerator * 10 + u64::from(digit - b'0');
        denominator *= 10;
    }
    // At most 10^15 x 3.6 x 10^12, which a u128 holds and whose quotient is below the unit.
    (u128::from(numerator) * u128::from(unit) / u128::from(denominator)) as u64
}

/// Shows a duration the way it would be written: in whole hours, minutes, seconds where it can be.
pub(crate) fn show(duration: Duration) -> String {
    let mut nanos = duration.as_nanos();
    if nanos == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (name, unit) in [
        ("h", 3_600_000_000_000),
        ("m", 60_000_000_000),
        ("s", 1_000_000_000),
        ("ms", 1_000_000),
        ("us", 1_000),
        ("ns", 1),
    ] {
        let count = nanos / unit;
        nanos %= unit;
        if count > 0 {
            text.push_str(&format!("{count}{name}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_go_reads_is_read_alike() {
        let cases = [
            ("0", 0),
            ("15s", 15_000_000_000),
            ("1h30m", 5_400_000_000_000),
            ("168h", 604_800_000_000_000),
            ("1.5h", 5_400_000_000_000),
            (".5s", 500_000_000),
            ("1.s", 1_000_000_000),
            ("+5ms", 5_000_000),
            ("100us", 100_000),
            ("1µs2μs3ns", 3_003),
            ("1m1ms", 60_001_000_000),
            ("0.0000000019s", 1),
            ("9223372036854775807ns", i64::MAX as u64),
        ];
        for (text, nanos) in cases {
            assert_eq!(parse(text), Ok(Duration::from_nanos(nanos)), "{text}");
        }
    }

    #[test]
    fn what_go_refuses_is_refused_with_the_reason() {
        for text in ["", "s", ".", ".s", "1x", "1h 30m", "one", "1d", "0x1s", "1,5s"] {
            assert_eq!(parse(text), Err(InvalidDuration::Form), "{text}");
        }
        assert_eq!(parse("15"), Err(InvalidDuration::NoUnit("15".to_owned())));
        assert_eq!(parse("-1s"), Err(InvalidDuration::Negative));
        for text in [
            "9223372036854775808ns",
            "99999999999999999999h",
            "2562048h",
            "2562047h48m",
        ] {
            assert_eq!(parse(text), Err(InvalidDuration::TooLong), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_duration_is_read_back_from_what_is_shown(nanos in 0..=i64::MAX as u64) {
            let duration = Duration::from_nanos(nanos);
            prop_assert_eq!(parse(&show(duration)), Ok(duration));
        }

        #[test]
        fn no_text_makes_the_reader_fail_in_another_way(text in "[-+0-9.hmsnuµx ]{0,40}") {
            if let Ok(duration) = parse(&text) {
                prop_assert!(duration.as_nanos() <= i64::MAX as u128);
            }
        }
    }
}
