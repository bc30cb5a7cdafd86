//! Passes a share of the records: all records of a key or none, the same keys on every machine and day.
//!
//! Settings: `{"percent": 10}`. Records without a key pass if the empty key does; `"seed"` chooses other keys.

use serde::Deserialize;
use strandline_plugin::Record;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    percent: Percent,
    #[serde(default)]
    seed: u64,
}

/// From 0 to 100.
#[derive(Deserialize)]
#[serde(try_from = "f64")]
struct Percent(f64);

impl TryFrom<f64> for Percent {
    type Error = String;

    fn try_from(percent: f64) -> Result<Self, String> {
        if (0.0..=100.0).contains(&percent) {
            Ok(Self(percent))
        } else {
            Err(format!("percent is {percent}, which is not from 0 to 100"))
        }
    }
}

#[strandline_plugin::filter(needs(key))]
fn sample(record: &Record<'_>, settings: &Settings) -> bool {
    let place = hash(record.key().unwrap_or_default(), settings.seed);
    // The upper 32 bits of the hash, as a share of all there are.
    (((place >> 32) as f64) / 4_294_967_296.0) * 100.0 < settings.percent.0
}

/// FNV-1a, whose bits are mixed once more because its upper ones are poor for short keys.
fn hash(key: &[u8], seed: u64) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325 ^ seed;
    for byte in key {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    hash = (hash ^ (hash >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    hash ^ (hash >> 32)
}

#[cfg(test)]
mod tests {
    use strandline_plugin::Verdict;
    use strandline_plugin::testing::{self, JsonValue, TestRecord, json};

    use super::*;

    fn passed(settings: JsonValue) -> Vec<usize> {
        let records: Vec<_> = (0..10_000)
            .map(|key| TestRecord::new().key(format!("user-{key}")))
            .collect();
        let verdicts = testing::filter::<sample>(settings).unwrap().judge_all(&records);
        (0..10_000)
            .filter(|&key| verdicts[key] == Verdict::pass())
            .collect()
    }

    #[test]
    fn the_share_is_as_asked_for() {
        assert_eq!(passed(json!({ "percent": 0 })).len(), 0);
        assert_eq!(passed(json!({ "percent": 100 })).len(), 10_000);
        let tenth = passed(json!({ "percent": 10 })).len();
        assert!((900..1_100).contains(&tenth), "{tenth}");
    }

    #[test]
    fn a_larger_share_has_all_keys_of_a_smaller_one() {
        let (small, large) = (passed(json!({ "percent": 5 })), passed(json!({ "percent": 6 })));
        assert!(small.iter().all(|key| large.contains(key)));
    }

    #[test]
    fn another_seed_chooses_other_keys() {
        assert_ne!(
            passed(json!({ "percent": 5 })),
            passed(json!({ "percent": 5, "seed": 1 }))
        );
    }

    #[test]
    fn a_share_beyond_all_is_refused() {
        let error = testing::filter::<sample>(json!({ "percent": 101 }))
            .err()
            .unwrap();
        assert!(
            error.contains("percent is 101, which is not from 0 to 100"),
            "{error}"
        );
    }
}
