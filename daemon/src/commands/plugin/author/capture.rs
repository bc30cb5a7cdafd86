//! `strandline plugin cases`.

use std::fmt::Write as _;

use clap::Args;
use serde_json::json;
use strandline_client::Client;

use super::origin::Origin;
use super::record::OwnRecord;
use super::stored::RangeArgs;
use super::tryout::Tryout;
use crate::commands::plugin::settings::VariantArgs;
use crate::exit::Failure;

/// Records of a stream as cases for `plugin test`.
#[derive(Debug, Args)]
pub(in crate::commands::plugin) struct CasesArgs {
    #[command(flatten)]
    range: RangeArgs,
    /// Most records
    #[arg(long, short = 'n', value_name = "NUMBER", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    count: u64,
    /// Expect what this plugin says of them now: NAME, NAME@VERSION or FILE.wasm
    #[arg(long, value_name = "PLUGIN")]
    plugin: Option<Origin>,
    #[command(flatten)]
    settings: VariantArgs,
}

/// Writes a file of cases. Without a plugin they expect an answer, whatever it is.
pub(in crate::commands::plugin) async fn run(args: &CasesArgs, client: &Client) -> Result<String, Failure> {
    let settings = args.settings.settings()?.unwrap_or_else(|| "{}".to_owned());
    let mut tryout = match &args.plugin {
        None => None,
        Some(origin) => {
            let component = origin.component(&client.admin()).await?;
            let tryout = Tryout::new(&component, &settings);
            Some(tryout.map_err(|error| Failure::new(format!("{}: {error}", component.name())))?)
        }
    };
    let mut lines = Vec::new();
    let reading = args.range.read(client, args.count, |records| {
        for stored in records {
            let name = format!("{}/{}/{}", args.range.stream, stored.partition, stored.offset);
            lines.push(case(&name, &stored.record, tryout.as_mut()));
        }
        Ok(())
    });
    reading.await?;
    if lines.is_empty() {
        let stream = &args.range.stream;
        return Err(Failure::new(format!(
            "stream {stream} holds no record in that range"
        )));
    }
    Ok(file(&settings, &lines))
}

fn case(name: &str, record: &OwnRecord, tryout: Option<&mut Tryout>) -> String {
    let expect = tryout.map_or_else(String::new, |tryout| {
        let answer = tryout.ask_why(record);
        let mut expected = answer.outcome.json();
        if !answer.reason.is_empty() && expected.contains_key("verdict") {
            expected.insert("reason".to_owned(), answer.reason.into());
        }
        format!(", \"expect\": {}", json!(expected))
    });
    format!(
        "{{\"name\": {}, \"record\": {}{expect}}}",
        json!(name),
        record.written()
    )
}

/// A case a line, so that files can be compared and edited.
fn file(settings: &str, cases: &[String]) -> String {
    let mut text = format!("{{\n  \"settings\": {settings},\n  \"cases\": [\n");
    for (number, case) in cases.iter().enumerate() {
        let comma = if number + 1 < cases.len() { "," } else { "" };
        let _ = writeln!(text, "    {case}{comma}");
    }
    text.push_str("  ]\n}\n");
    text
}

#[cfg(test)]
mod tests {
    use super::super::cases::Cases;
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        let record = OwnRecord {
            subject: "orders".to_owned(),
            value: "a\"b".into(),
            ..OwnRecord::default()
        };
        let cases = [case("s/0/1", &record, None), case("s/0/2", &record, None)];
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cases.json");
        std::fs::write(&path, file(r#"{"a": 1}"#, &cases)).unwrap();
        let read = Cases::read(&path).unwrap();
        assert_eq!(read.settings, r#"{"a": 1}"#);
        assert_eq!(read.cases[1].name, "s/0/2");
        assert_eq!(read.cases[1].record, record);
    }
}
