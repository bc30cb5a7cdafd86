//! Definitions of streams.

use strandline_core::stream::StreamSettings;

use crate::api::{CreateStreamRequest, NullableInt32, NullableInt64};

/// A setting that cannot be negative and is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} cannot be negative: {value}")]
pub struct NegativeSetting {
    /// The setting, as the API calls it.
    pub field: &'static str,
    /// Its value.
    pub value: i64,
}

/// The settings that a request overrides. Durability, backend, compression, and the times and the share of compaction have no
/// field on the wire.
///
/// # Errors
///
/// A setting is negative.
pub fn stream_settings(request: &CreateStreamRequest) -> Result<StreamSettings, NegativeSetting> {
    Ok(StreamSettings {
        retention_max_bytes: from_long("retentionMaxBytes", request.retention_max_bytes)?,
        retention_max_messages: from_long("retentionMaxMessages", request.retention_max_messages)?,
        retention_max_age_ms: from_long("retentionMaxAge", request.retention_max_age)?,
        cleaner_interval_ms: from_long("cleanerInterval", request.cleaner_interval)?,
        segment_max_bytes: from_long("segmentMaxBytes", request.segment_max_bytes)?,
        segment_max_age_ms: from_long("segmentMaxAge", request.segment_max_age)?,
        compact_max_workers: from_int("compactMaxGoroutines", request.compact_max_goroutines)?,
        compact_enabled: request.compact_enabled.map(bool::from),
        compact_tombstone_grace_ms: None,
        compact_min_lag_ms: None,
        compact_min_dirty_percent: None,
        auto_pause_time_ms: from_long("autoPauseTime", request.auto_pause_time)?,
        auto_pause_disable_if_subscribers: request.auto_pause_disable_if_subscribers.map(bool::from),
        min_isr: from_int("minIsr", request.min_isr)?,
        optimistic_concurrency_control: request.optimistic_concurrency_control.map(bool::from),
        encryption: request.encryption.map(bool::from),
        durability: None,
        backend: None,
        compression: None,
        archive: None,
    })
}

fn from_long(field: &'static str, value: Option<NullableInt64>) -> Result<Option<u64>, NegativeSetting> {
    let Some(NullableInt64 { value }) = value else {
        return Ok(None);
    };
    u64::try_from(value)
        .map(Some)
        .map_err(|_| NegativeSetting { field, value })
}

fn from_int(field: &'static str, value: Option<NullableInt32>) -> Result<Option<u32>, NegativeSetting> {
    let Some(NullableInt32 { value }) = value else {
        return Ok(None);
    };
    u32::try_from(value).map(Some).map_err(|_| NegativeSetting {
        field,
        value: value.into(),
    })
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    /// Every setting has a value of its own, so that two fields that are mixed up are found out.
    #[test]
    fn every_setting_is_read_from_its_field_of_the_wire() {
        let bytes: &[u8] = &[
            0x32, 2, 8, 1, 0x3a, 2, 8, 2, 0x42, 2, 8, 3, 0x4a, 2, 8, 4, 0x52, 2, 8, 5, 0x5a, 2, 8, 6, 0x62,
            2, 8, 7, 0x6a, 2, 8, 1, 0x72, 2, 8, 8, 0x7a, 0, 0x82, 1, 2, 8, 9, 0x8a, 1, 2, 8, 1, 0x92, 1, 0,
        ];
        let request = CreateStreamRequest::decode(bytes).unwrap();
        let expected = StreamSettings {
            retention_max_bytes: Some(1),
            retention_max_messages: Some(2),
            retention_max_age_ms: Some(3),
            cleaner_interval_ms: Some(4),
            segment_max_bytes: Some(5),
            segment_max_age_ms: Some(6),
            compact_max_workers: Some(7),
            compact_enabled: Some(true),
            compact_tombstone_grace_ms: None,
            compact_min_lag_ms: None,
            compact_min_dirty_percent: None,
            auto_pause_time_ms: Some(8),
            auto_pause_disable_if_subscribers: Some(false),
            min_isr: Some(9),
            optimistic_concurrency_control: Some(true),
            encryption: Some(false),
            durability: None,
            backend: None,
            compression: None,
            archive: None,
        };
        assert_eq!(stream_settings(&request), Ok(expected));
        assert_eq!(
            stream_settings(&CreateStreamRequest::default()),
            Ok(StreamSettings::default())
        );
    }

    #[test]
    fn an_explicit_zero_is_a_setting_and_a_negative_one_is_refused_by_name() {
        let mut request = CreateStreamRequest {
            segment_max_age: Some(0.into()),
            ..Default::default()
        };
        assert_eq!(stream_settings(&request).unwrap().segment_max_age_ms, Some(0));
        request.segment_max_age = Some((-1).into());
        let error = stream_settings(&request).unwrap_err();
        assert_eq!(error.to_string(), "segmentMaxAge cannot be negative: -1");
        let request = CreateStreamRequest {
            min_isr: Some((-4).into()),
            ..Default::default()
        };
        assert_eq!(
            stream_settings(&request),
            Err(NegativeSetting {
                field: "minIsr",
                value: -4
            })
        );
    }
}
