//! `strandline plugin replay`.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};

use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use strandline_client::Client;
use strandline_client::admin::Admin;

use super::answer::Answer;
use super::origin::Origin;
use super::record::OwnRecord;
use super::stored::{RangeArgs, Stored};
use super::test::{own_calls, shown};
use super::tryout::Tryout;
use crate::commands::output_failure;
use crate::commands::plugin::settings::{VariantArgs, json as json_text};
use crate::commands::stream::columns;
use crate::exit::{Exit, Failure};

/// A plugin to ask about what a stream holds. Nothing is stored, delivered or counted for it.
#[derive(Debug, Args)]
pub(in crate::commands::plugin) struct ReplayArgs {
    #[command(flatten)]
    range: RangeArgs,
    /// What to ask: NAME, NAME@VERSION or FILE.wasm
    #[arg(long, value_name = "PLUGIN")]
    version: Origin,
    /// What to compare with
    #[arg(long, value_name = "PLUGIN")]
    against: Option<Origin>,
    #[command(flatten)]
    settings: VariantArgs,
    /// Settings for --against, as JSON [default: the same]
    #[arg(long, value_name = "JSON", requires = "against", value_parser = json_text)]
    against_settings: Option<String>,
    /// Most records to show: those that are judged otherwise, or without --against those that do not pass
    #[arg(long, short = 'n', value_name = "NUMBER", default_value_t = 20)]
    show: u64,
    /// Show all of them
    #[arg(long, conflicts_with = "show")]
    all: bool,
    /// Form of the output
    #[arg(long, short = 'o', value_enum, default_value_t = Form::Text)]
    format: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// Lines for people
    Text,
    /// A JSON object for each record that is shown, and one with the counts
    Json,
}

/// Asks and compares, and writes what comes of it.
pub(in crate::commands::plugin) async fn run(args: &ReplayArgs, client: &Client) -> Result<Exit, Failure> {
    let settings = args.settings.settings()?.unwrap_or_else(|| "{}".to_owned());
    let admin = client.admin();
    let version = Side::new(&args.version, &settings, &admin).await?;
    let against = match &args.against {
        None => None,
        Some(origin) => {
            let settings = args.against_settings.as_ref().unwrap_or(&settings);
            Some(Side::new(origin, settings, &admin).await?)
        }
    };
    if let Some(against) = &against {
        version.check_same_world(against)?;
    }
    let mut replay = Replay {
        version,
        against,
        records: 0,
        noted: 0,
        show: if args.all { u64::MAX } else { args.show },
        form: args.format,
        output: BufWriter::new(io::stdout()),
    };
    let take = |records| replay.take(records).map_err(|error| output_failure(&error));
    args.range.read(client, u64::MAX, take).await?;
    replay
        .finish(&args.range.stream)
        .map_err(|error| output_failure(&error))?;
    Ok(Exit::Success)
}

/// A plugin that is asked.
struct Side {
    name: String,
    tryout: Tryout,
    counts: BTreeMap<&'static str, u64>,
}

impl Side {
    async fn new(origin: &Origin, settings: &str, admin: &Admin) -> Result<Self, Failure> {
        let component = origin.component(admin).await?;
        let name = component.name().to_owned();
        let tryout = Tryout::new(&component, settings);
        let tryout = tryout.map_err(|error| Failure::new(format!("{name}: {error}")))?;
        Ok(Self {
            name,
            tryout,
            counts: BTreeMap::new(),
        })
    }

    fn check_same_world(&self, other: &Self) -> Result<(), Failure> {
        let world = |side: &Self| side.tryout.attachment().module().info().world;
        if world(self) == world(other) {
            return Ok(());
        }
        let (a, b) = (world(self), world(other));
        Err(Failure::new(format!(
            "{} is a {a} and {} a {b}: they cannot be compared",
            self.name, other.name
        )))
    }

    fn ask(&mut self, records: &[OwnRecord]) -> Vec<Answer> {
        let answers = self.tryout.ask(records);
        for answer in &answers {
            *self.counts.entry(answer.outcome.kind()).or_default() += 1;
        }
        answers
    }

    /// The answer with its reason, which nobody has asked for before.
    fn explained(&mut self, mut answer: Answer, record: &OwnRecord) -> Answer {
        if answer.reason.is_empty() && !answer.outcome.is_ordinary() {
            answer.reason = self.tryout.reason(record);
        }
        answer
    }

    fn json(&self) -> Value {
        json!({ "plugin": self.name, "counts": self.counts })
    }
}

/// What was found so far.
struct Replay<W> {
    version: Side,
    against: Option<Side>,
    records: u64,
    /// Records that are judged otherwise; without something to compare with those that do not pass.
    noted: u64,
    /// So many of them may still be shown.
    show: u64,
    form: Form,
    output: W,
}

impl<W: Write> Replay<W> {
    fn take(&mut self, stored: Vec<Stored>) -> io::Result<()> {
        let (places, records): (Vec<_>, Vec<_>) = stored
            .into_iter()
            .map(|stored| ((stored.partition, stored.offset), stored.record))
            .unzip();
        self.records += records.len() as u64;
        let answers = self.version.ask(&records);
        let before = self.against.as_mut().map(|against| against.ask(&records));
        for (index, answer) in answers.into_iter().enumerate() {
            let before = before.as_ref().and_then(|before| before.get(index));
            let is_ordinary = before.map_or(answer.outcome.is_ordinary(), |before| {
                before.outcome == answer.outcome
            });
            if is_ordinary {
                continue;
            }
            self.noted += 1;
            if self.noted <= self.show
                && let (Some(place), Some(record)) = (places.get(index), records.get(index))
            {
                let answer = self.version.explained(answer, record);
                let before = before
                    .cloned()
                    .zip(self.against.as_mut())
                    .map(|(before, against)| against.explained(before, record));
                self.tell(*place, record, &answer, before.as_ref())?;
            }
        }
        Ok(())
    }

    fn tell(
        &mut self,
        (partition, offset): (u32, u64),
        record: &OwnRecord,
        answer: &Answer,
        before: Option<&Answer>,
    ) -> io::Result<()> {
        if self.form == Form::Json {
            let object = json!({
                "partition": partition,
                "offset": offset,
                "record": record.json(),
                "version": answer.json(),
                "against": before.map(Answer::json),
            });
            return writeln!(self.output, "{object}");
        }
        let before = before.map(|before| format!("{before} -> ")).unwrap_or_default();
        writeln!(
            self.output,
            "{partition}/{offset}  {before}{answer}  {}",
            shown(record)
        )?;
        own_calls(&answer.detail)
            .into_iter()
            .try_for_each(|line| writeln!(self.output, "      {line}"))
    }

    fn finish(&mut self, stream: &str) -> io::Result<()> {
        if self.form == Form::Json {
            let object = json!({
                "records": self.records,
                "different": self.against.is_some().then_some(self.noted),
                "version": self.version.json(),
                "against": self.against.as_ref().map(Side::json),
            });
            writeln!(self.output, "{object}")?;
            return self.output.flush();
        }
        if self.noted > self.show {
            writeln!(self.output, "({} more, --all shows them)", self.noted - self.show)?;
        }
        if self.noted > 0 && self.show > 0 {
            writeln!(self.output)?;
        }
        writeln!(self.output, "stream {stream}, records: {}", self.records)?;
        self.output.write_all(self.table().as_bytes())?;
        if self.against.is_some() {
            writeln!(self.output, "{} judged otherwise", self.noted)?;
        }
        self.output.flush()
    }

    fn table(&self) -> String {
        let count = |side: &Side, kind: &str| side.counts.get(kind).copied().unwrap_or_default().to_string();
        match &self.against {
            None => {
                let header = [String::new(), self.version.name.clone()];
                let rows = self.version.counts.keys();
                let rows = rows.map(|&kind| [kind.to_owned(), count(&self.version, kind)]);
                columns(&[header].into_iter().chain(rows).collect::<Vec<_>>())
            }
            Some(against) => {
                let kinds: std::collections::BTreeSet<_> =
                    self.version.counts.keys().chain(against.counts.keys()).collect();
                let header = [
                    String::new(),
                    against.name.clone(),
                    format!("-> {}", self.version.name),
                ];
                let rows = kinds
                    .into_iter()
                    .map(|&kind| [kind.to_owned(), count(against, kind), count(&self.version, kind)]);
                columns(&[header].into_iter().chain(rows).collect::<Vec<_>>())
            }
        }
    }
}

impl Answer {
    fn json(&self) -> Value {
        let mut members = self.outcome.json();
        if !self.reason.is_empty() {
            members.insert("reason".to_owned(), self.reason.clone().into());
        }
        members.into()
    }
}
