//! `strandline stream set`.

use clap::Args;
use strandline_client::Client;
use strandline_client::admin::{Setting, SettingValue, StreamUpdate};

use super::super::connection::refused;
use super::stored;
use crate::config::parse_duration;
use crate::exit::Failure;

/// Settings to change. Those that are left out stay as they are; `default` takes a setting back to what the broker's
/// configuration says.
#[derive(Debug, Args)]
pub(super) struct SetArgs {
    /// Name of the stream
    name: String,
    #[command(flatten)]
    changes: Changes,
    /// Print all settings as one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct Changes {
    /// Bytes to keep per partition; 0 = all
    #[arg(long, value_name = "BYTES", value_parser = number)]
    retention_max_bytes: Option<Wanted>,
    /// Records to keep per partition; 0 = all
    #[arg(long, value_name = "NUMBER", value_parser = number)]
    retention_max_messages: Option<Wanted>,
    /// Age to keep; 0 = any
    #[arg(long, value_name = "DURATION", value_parser = time)]
    retention_max_age: Option<Wanted>,
    /// How often retention is applied
    #[arg(long, value_name = "DURATION", value_parser = time)]
    cleaner_interval: Option<Wanted>,
    /// Size at which a segment is sealed
    #[arg(long, value_name = "BYTES", value_parser = number)]
    segment_max_bytes: Option<Wanted>,
    /// Age at which a segment is sealed; 0 = by size only
    #[arg(long, value_name = "DURATION", value_parser = time)]
    segment_max_age: Option<Wanted>,
    /// Keep the newest record of each key: true or false
    #[arg(long, value_name = "BOOL", value_parser = flag)]
    compact: Option<Wanted>,
    /// Time for which a tombstone, a key with an empty value, stays
    #[arg(long, value_name = "DURATION", value_parser = time)]
    compact_tombstone_grace: Option<Wanted>,
    /// Age below which records are not compacted
    #[arg(long, value_name = "DURATION", value_parser = time)]
    compact_min_lag: Option<Wanted>,
    /// Share of the log that is not compacted yet, in percent, below which it is left alone
    #[arg(long, value_name = "PERCENT", value_parser = number)]
    compact_min_dirty_percent: Option<Wanted>,
    /// When a record counts as stored: fsync or os
    #[arg(long, value_name = "WORD", value_parser = durability)]
    durability: Option<Wanted>,
    /// How new records are compressed on disk: none, lz4 or zstd
    #[arg(long, value_name = "WORD", value_parser = compression)]
    compression: Option<Wanted>,
    /// Move sealed segments to the broker's archive: true or false; what is there stays readable
    #[arg(long, value_name = "BOOL", value_parser = flag)]
    archive: Option<Wanted>,
}

/// The value that a setting is to have; none = the broker's.
#[derive(Clone, Debug, PartialEq)]
struct Wanted(Option<SettingValue>);

/// Changes the settings and shows all of them.
pub(super) async fn run(args: SetArgs, client: &Client) -> Result<String, Failure> {
    let update = args.changes.into_update();
    let updated = client.admin().update_stream(&args.name, update).await;
    let settings = updated.map_err(|error| refused(&format!("change stream {}", args.name), &error))?;
    Ok(show(&settings, args.json))
}

fn show(settings: &[Setting], json: bool) -> String {
    if json {
        return format!("{}\n", stored::settings_json(settings));
    }
    stored::settings_table(settings)
}

impl Changes {
    fn into_update(self) -> StreamUpdate {
        let named = [
            ("retention.max.bytes", self.retention_max_bytes),
            ("retention.max.messages", self.retention_max_messages),
            ("retention.max.age", self.retention_max_age),
            ("cleaner.interval", self.cleaner_interval),
            ("segment.max.bytes", self.segment_max_bytes),
            ("segment.max.age", self.segment_max_age),
            ("compact.enabled", self.compact),
            ("compact.tombstone.grace", self.compact_tombstone_grace),
            ("compact.min.lag", self.compact_min_lag),
            ("compact.min.dirty.percent", self.compact_min_dirty_percent),
            ("durability", self.durability),
            ("compression", self.compression),
            ("archive", self.archive),
        ];
        let wanted = named
            .into_iter()
            .filter_map(|(name, wanted)| Some((name, wanted?.0)));
        wanted.fold(StreamUpdate::new(), |update, (name, value)| match value {
            Some(value) => update.set(name, value),
            None => update.reset(name),
        })
    }
}

/// What stands for the broker's value.
const DEFAULT: &str = "default";

fn wanted<E>(text: &str, read: impl FnOnce(&str) -> Result<SettingValue, E>) -> Result<Wanted, E> {
    if text == DEFAULT {
        return Ok(Wanted(None));
    }
    read(text).map(|value| Wanted(Some(value)))
}

fn number(text: &str) -> Result<Wanted, String> {
    let read = |text: &str| text.parse().map(SettingValue::Number);
    wanted(text, read).map_err(|_| "takes a number from 0, or default".to_owned())
}

fn time(text: &str) -> Result<Wanted, String> {
    let read = |text: &str| parse_duration(text).map(SettingValue::Time);
    wanted(text, read).map_err(|error| error.to_string())
}

fn flag(text: &str) -> Result<Wanted, String> {
    wanted(text, |text| match text {
        "true" => Ok(SettingValue::Flag(true)),
        "false" => Ok(SettingValue::Flag(false)),
        _ => Err("takes true, false or default".to_owned()),
    })
}

fn durability(text: &str) -> Result<Wanted, String> {
    wanted(text, |text| match text {
        "fsync" | "os" => Ok(SettingValue::Word(text.to_owned())),
        _ => Err("takes fsync, os or default".to_owned()),
    })
}

fn compression(text: &str) -> Result<Wanted, String> {
    wanted(text, |text| match text {
        "none" | "lz4" | "zstd" => Ok(SettingValue::Word(text.to_owned())),
        _ => Err("takes none, lz4, zstd or default".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn values_are_read_by_kind_and_default_stands_for_the_brokers() {
        assert_eq!(number("7"), Ok(Wanted(Some(SettingValue::Number(7)))));
        assert_eq!(
            time("90m"),
            Ok(Wanted(Some(SettingValue::Time(Duration::from_secs(5400)))))
        );
        assert_eq!(flag("true"), Ok(Wanted(Some(SettingValue::Flag(true)))));
        for read in [number, time, flag, durability, compression] {
            assert_eq!(read("default"), Ok(Wanted(None)));
            assert!(read("nonsense").is_err() && read("").is_err() && read("-1").is_err());
        }
    }
}
