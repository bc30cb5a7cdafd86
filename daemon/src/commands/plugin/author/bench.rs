//! `strandline plugin bench`.

use std::path::PathBuf;
use std::time::Duration;

use bytes::BytesMut;
use clap::Args;
use strandline_core::record::{Fields, append_record};
use strandline_plugins::MAX_BATCH_RECORDS;

use super::cases::Cases;
use super::component::Given;
use super::figures::{Figures, Work};
use super::record::OwnRecord;
use crate::commands::plugin::settings::VariantArgs;
use crate::config::parse_duration;
use crate::exit::Failure;

/// Size of a value where there are no cases.
const VALUE_BYTES: usize = 254;

/// What to measure.
#[derive(Debug, Args)]
pub(in crate::commands::plugin) struct BenchArgs {
    /// A plugin's directory, which is built first, or a component
    #[arg(default_value = ".", value_name = "DIR|FILE.wasm")]
    plugin: PathBuf,
    /// Ask about the records of these cases, over and over [default: cases.json in the directory]
    #[arg(long, value_name = "FILE", conflicts_with = "size")]
    cases: Option<PathBuf>,
    /// Ask about JSON values of this size instead [default: 254 where there are no cases]
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1..=4 << 20))]
    size: Option<u32>,
    /// Records of a batch
    #[arg(long, value_name = "RECORDS", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=MAX_BATCH_RECORDS as i64))]
    batch: u32,
    /// Time that a batch may take, of which the share is told
    #[arg(long, value_name = "DURATION", default_value = "100ms", value_parser = parse_duration)]
    budget: Duration,
    /// Settings are those of the cases unless said otherwise
    #[command(flatten)]
    settings: VariantArgs,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// Measures what a plugin costs, beside a copy of the same bytes and a plugin that only says pass.
pub(in crate::commands::plugin) fn run(args: &BenchArgs) -> Result<String, Failure> {
    let given = Given::open(&args.plugin)?;
    let cases = args.cases.clone().or(given.cases.filter(|_| args.size.is_none()));
    let cases = cases.map(|path| Cases::read(&path)).transpose()?;
    let settings = args.settings.settings()?;
    let default = cases.as_ref().map_or("{}", |cases| cases.settings.as_str());
    let settings = settings.unwrap_or_else(|| default.to_owned());
    let records = match &cases {
        Some(cases) => records_of(cases)?,
        None => vec![made_up(args.size.map_or(VALUE_BYTES, |size| size as usize))],
    };
    let work = Work {
        settings: &settings,
        stored: stored(&records, args.batch as usize)?,
        batch: args.batch as usize,
        budget: args.budget,
    };
    let figures = Figures::measure(&given.component, &work)?;
    Ok(if args.json { figures.json() } else { figures.text() })
}

/// The records that the settings of the file are for.
fn records_of(cases: &Cases) -> Result<Vec<OwnRecord>, Failure> {
    let records: Vec<_> = cases
        .cases
        .iter()
        .filter(|case| case.settings == cases.settings)
        .map(|case| case.record.clone())
        .collect();
    if records.is_empty() {
        return Err(Failure::new(
            "the cases hold no record: say --size, or take other ones",
        ));
    }
    Ok(records)
}

/// A record whose JSON value has this size, if that is enough for any.
fn made_up(bytes: usize) -> OwnRecord {
    const START: &str = r#"{"level": "error", "text": ""#;
    const END: &str = r#""}"#;
    let value = match bytes.checked_sub(START.len() + END.len()) {
        Some(text) => format!("{START}{}{END}", "x".repeat(text)),
        None => "x".repeat(bytes),
    };
    OwnRecord {
        subject: "orders.eu".to_owned(),
        value: value.into(),
        ..OwnRecord::default()
    }
}

/// So many records as a broker has them before it asks.
fn stored(records: &[OwnRecord], count: usize) -> Result<BytesMut, Failure> {
    let mut out = BytesMut::new();
    for record in records.iter().cycle().take(count) {
        let fields = Fields {
            key: record.key.as_deref(),
            value: &record.value,
            subject: &record.subject,
            reply: "",
        };
        let headers = record.headers.iter();
        let headers = headers.map(|(name, value)| (name.as_str(), value.as_ref()));
        append_record(&mut out, &fields, headers)
            .map_err(|error| Failure::new(format!("a record cannot be stored: {error}")))?;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_is_made_up_has_its_size() {
        for bytes in [1, 28, 30, 254] {
            assert_eq!(made_up(bytes).value.len(), bytes);
        }
        assert!(serde_json::from_slice::<serde_json::Value>(&made_up(254).value).is_ok());
    }
}
