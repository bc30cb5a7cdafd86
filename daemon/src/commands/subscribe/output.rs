//! Records on their way to the terminal or a pipe.

use std::io::{BufWriter, Write};

use strandline_client::Record;

use super::super::output_failure;
use super::super::record_format::{self, Format};
use super::SubscribeArgs;
use crate::exit::Failure;

/// Headers that the broker adds to what the publisher set; they repeat fields of the record.
const RESERVED_HEADERS: [&str; 2] = ["subject", "reply"];
/// Where records go.
pub(super) struct Output {
    stream: String,
    format: Format,
    left: Option<u64>,
    writer: BufWriter<std::io::Stdout>,
}

impl Output {
    pub(super) fn new(args: &SubscribeArgs) -> Self {
        Self {
            stream: args.stream.clone(),
            format: args.format,
            left: args.limit,
            writer: BufWriter::new(std::io::stdout()),
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.left == Some(0)
    }

    pub(super) fn write(&mut self, record: &Record) -> Result<(), Failure> {
        let own = |(name, _): &(&String, &bytes::Bytes)| !RESERVED_HEADERS.contains(&name.as_str());
        let mut headers: Vec<_> = record
            .headers
            .iter()
            .filter(own)
            .map(|(name, value)| (name.as_str(), value.as_ref()))
            .collect();
        headers.sort_unstable();
        let record = record_format::Record {
            stream: &self.stream,
            partition: record.partition,
            offset: record.offset,
            timestamp: record.timestamp,
            subject: &record.subject,
            key: Some(record.key.as_ref()).filter(|key| !key.is_empty()),
            headers,
            value: &record.value,
        };
        self.left = self.left.map(|left| left.saturating_sub(1));
        self.format
            .write(&record, &mut self.writer)
            .map_err(|error| output_failure(&error))
    }

    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        self.writer.flush().map_err(|error| output_failure(&error))
    }
}
