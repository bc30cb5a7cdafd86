//! `strandline archive cat`: the records of an archive, read from the bucket with no broker.

use std::io::{self, Write};

use clap::Args;
use strandline_broker::maintenance::Finding;
use strandline_broker::maintenance::archive::{ArchiveError, CatError, CatFrom, CatSource, CatTaker, Survey};
use strandline_core::record::{Batch, BatchHeader, RecordView};
use strandline_core::{Offset, OffsetRange, Timestamp};

use super::super::output_failure;
use super::super::position::{self, End, Start};
use super::super::record_format::{self, Format};
use super::bucket::BucketArgs;
use super::list::unreachable;
use crate::commands::now;
use crate::exit::{Exit, Failure, describe};

/// What is to be read, and how it is shown.
#[derive(Debug, Args)]
pub(super) struct CatArgs {
    /// A stream's name, or a place as `archive list` shows it: CLUSTER/STREAM.NUMBER/PARTITION
    #[arg(value_name = "STREAM|PLACE")]
    target: String,
    #[command(flatten)]
    bucket: BucketArgs,
    /// The partition of a stream that is given by its name
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    partition: u32,
    /// Begin here: earliest, an offset, or time:T such as time:2026-01-31T12:00:00Z or time:90m (ago)
    #[arg(long, value_name = "POSITION", default_value = "earliest", value_parser = start)]
    from: Start,
    /// End after this: latest (of what is archived), an offset or time:T
    #[arg(long, value_name = "POSITION", default_value = "latest", value_parser = |text: &str| position::end(text, now()))]
    to: End,
    /// End after so many records
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// How each record is written
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// One JSON object a line, as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Go on behind what is damaged or missing; what that is stands on the error output
    #[arg(long)]
    skip_damaged: bool,
}

fn start(text: &str) -> Result<Start, String> {
    match position::start(text, now())? {
        Start::Latest | Start::New => Err("takes earliest, an offset, or time:T".to_owned()),
        start => Ok(start),
    }
}

/// Writes the records, for as long as the output takes them.
pub(super) async fn run(args: &CatArgs, output: &mut dyn Write) -> Result<Exit, Failure> {
    let (survey, masters) = args.bucket.open_with_keys()?;
    let source = CatSource::find(&survey, &args.target, args.partition, &masters)
        .await
        .map_err(|error| not_found(&error))?;
    let mut cat = Cat {
        args,
        source: &source,
        output: io::BufWriter::new(output),
        left: args.limit,
        is_damaged: false,
        ended: Ok(()),
    };
    let read = read(&survey, args, &mut cat).await;
    let flushed = cat.output.flush();
    cat.ended?;
    flushed.map_err(|error| output_failure(&error))?;
    read?;
    Ok(if cat.is_damaged {
        Exit::Damage
    } else {
        Exit::Success
    })
}

async fn read(survey: &Survey, args: &CatArgs, cat: &mut Cat<'_>) -> Result<(), Failure> {
    let from = match args.from {
        Start::Offset(offset) => CatFrom::Offset(Offset::new(u64::try_from(offset).unwrap_or(0))),
        Start::Time(nanos) => CatFrom::Time(Timestamp::from_nanos(nanos)),
        Start::Earliest | Start::Latest | Start::New => CatFrom::Offset(Offset::ZERO),
    };
    let place = cat.source.place.clone();
    survey.cat(&place, from, cat).await.map_err(|error| match error {
        ArchiveError::Bucket(error) => unreachable("read the archive", &error),
        error => Failure::with(Exit::Damage, describe(&error)),
    })
}

fn not_found(error: &CatError) -> Failure {
    match error {
        CatError::Bucket(error) => unreachable("read the archive", error),
        error => Failure::new(describe(error)),
    }
}

/// What one record is to the range that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    No,
    Yes,
    /// Neither it nor what follows.
    Over,
}

/// Writes what comes.
struct Cat<'a> {
    args: &'a CatArgs,
    source: &'a CatSource,
    output: io::BufWriter<&'a mut dyn Write>,
    /// Records that may still be written.
    left: Option<u64>,
    is_damaged: bool,
    ended: Result<(), Failure>,
}

impl Cat<'_> {
    /// Says whether to go on.
    fn records(&mut self, batch: &Batch) -> bool {
        let header = *batch.header();
        for record in batch.records() {
            match wanted(self.args, offset(&header, &record), header.time(&record).nanos()) {
                Wanted::No => continue,
                Wanted::Over => return false,
                Wanted::Yes => {}
            }
            if let Err(error) = self.write(&header, &record) {
                self.ended = Err(output_failure(&error));
                return false;
            }
            self.left = self.left.map(|left| left.saturating_sub(1));
            if self.left == Some(0) {
                return false;
            }
        }
        true
    }

    fn write(&mut self, header: &BatchHeader, record: &RecordView<'_>) -> io::Result<()> {
        let headers: Vec<_> = record
            .headers()
            .map(|(name, value)| (String::from_utf8_lossy(name), value))
            .collect();
        let mut headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (name.as_ref(), *value))
            .collect();
        headers.sort_unstable();
        let subject = String::from_utf8_lossy(record.subject());
        let shown = record_format::Record {
            stream: &self.source.stream,
            partition: self.source.place.partition.get(),
            offset: offset(header, record),
            timestamp: header.time(record).nanos(),
            subject: &subject,
            key: record.key().filter(|key| !key.is_empty()),
            headers,
            value: record.value(),
        };
        let format = if self.args.json {
            Format::Json
        } else {
            self.args.format
        };
        format.write(&shown, &mut self.output)
    }

    /// Says whether to go on behind what cannot be read.
    fn lost(&mut self, range: OffsetRange, problem: &str) -> bool {
        let (from, before) = (range.start, range.end);
        let text = format!("offsets from {from} to before {before} cannot be read: {problem}");
        if self.args.skip_damaged {
            self.is_damaged = true;
            // Whoever closed the error output does not want to read it.
            let _ = writeln!(io::stderr().lock(), "skipped: {text}");
            return true;
        }
        let advice = "with --skip-damaged the rest is read";
        self.ended = Err(Failure::with(Exit::Damage, format!("{text}; {advice}")));
        false
    }
}

impl CatTaker for Cat<'_> {
    fn batch(&mut self, batch: &Batch) -> bool {
        let range = batch.header().range();
        if matches!(self.args.to, End::Offset(last) if !is_up_to(range.start.get(), last)) {
            return false;
        }
        match self.source.unpack(batch) {
            Ok(plain) => self.records(&plain),
            Err(problem) => self.lost(range, &problem),
        }
    }

    fn damaged(&mut self, range: OffsetRange, finding: Finding) -> bool {
        if matches!(self.args.to, End::Offset(last) if !is_up_to(range.start.get(), last)) {
            return false;
        }
        let at = finding
            .position
            .map(|at| format!(" at byte {at}"))
            .unwrap_or_default();
        let problem = format!("{}{at}: {}", finding.file.display(), finding.problem);
        self.lost(range, &problem)
    }
}

fn offset(header: &BatchHeader, record: &RecordView<'_>) -> u64 {
    header.base.get().saturating_add(u64::from(record.offset_delta()))
}

fn is_up_to(offset: u64, last: i64) -> bool {
    i64::try_from(offset).is_ok_and(|offset| offset <= last)
}

/// Times rise along a log, so that what is younger than the end is followed by nothing older.
fn wanted(args: &CatArgs, offset: u64, time: i64) -> Wanted {
    let is_over = match args.to {
        End::Latest => false,
        End::Offset(last) => !is_up_to(offset, last),
        End::Time(last) => time > last,
    };
    let is_before = match args.from {
        Start::Offset(first) => u64::try_from(first).is_ok_and(|first| offset < first),
        Start::Time(first) => time < first,
        Start::Earliest | Start::Latest | Start::New => false,
    };
    match (is_over, is_before) {
        (true, _) => Wanted::Over,
        (_, true) => Wanted::No,
        _ => Wanted::Yes,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: CatArgs,
    }

    fn parsed(line: &str) -> Result<CatArgs, clap::Error> {
        let line = ["cat", "orders"].into_iter().chain(line.split_whitespace());
        Line::try_parse_from(line).map(|line| line.args)
    }

    #[test]
    fn the_range_is_that_of_a_subscription() {
        let args = parsed("--from 3 --to 5").unwrap();
        let found = [2, 3, 5, 6].map(|offset| wanted(&args, offset, 0));
        assert_eq!(found, [Wanted::No, Wanted::Yes, Wanted::Yes, Wanted::Over]);
        let args = parsed("--from time:1970-01-01T00:00:01Z --to time:1970-01-01T00:00:02Z").unwrap();
        let found =
            [999_999_999, 1_000_000_000, 2_000_000_000, 2_000_000_001].map(|time| wanted(&args, 0, time));
        assert_eq!(found, [Wanted::No, Wanted::Yes, Wanted::Yes, Wanted::Over]);
        assert_eq!(wanted(&parsed("").unwrap(), u64::MAX, i64::MAX), Wanted::Yes);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "--from latest",
            "--from new",
            "--limit 0",
            "--to earliest",
            "--json --format raw",
        ] {
            assert!(parsed(line).is_err(), "{line}");
        }
    }
}
