//! `strandline plugin logs`.

use std::io::Write;
use std::time::Duration;

use clap::Args;
use serde_json::json;
use strandline_client::admin::{Admin, PluginLog, PluginLogLine};

use super::super::connection::refused;
use super::super::output_failure;
use crate::exit::{Exit, Failure};
use crate::time;

/// Pause between two looks for new lines.
const FOLLOW_PAUSE: Duration = Duration::from_millis(500);

/// Whose lines to show. The broker keeps the last ones in memory, a limited part of what is said.
#[derive(Debug, Args)]
pub(super) struct LogsArgs {
    /// Number of the attachment
    attachment: u64,
    /// Of what is being tried instead of the active version
    #[arg(long)]
    canary: bool,
    /// Go on with lines as they come
    #[arg(short, long)]
    follow: bool,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// Shows lines, oldest first.
pub(super) async fn run(args: &LogsArgs, admin: &Admin) -> Result<Exit, Failure> {
    let what = format!("show the log of attachment {}", args.attachment);
    let mut after = 0;
    loop {
        let log = admin.plugin_log(args.attachment, after, args.canary).await;
        let log = log.map_err(|error| refused(&what, &error))?;
        let text = show(&log, args.json);
        let written = std::io::stdout().lock().write_all(text.as_bytes());
        written.map_err(|error| output_failure(&error))?;
        let last = log.lines.last();
        after = last.map_or(after, |line| line.number);
        match (last, args.follow) {
            // There may be more than one answer holds.
            (Some(_), _) => {}
            (None, true) => tokio::time::sleep(FOLLOW_PAUSE).await,
            (None, false) => return Ok(Exit::Success),
        }
    }
}

fn show(log: &PluginLog, json: bool) -> String {
    let mut text = String::new();
    if log.gone > 0 && !json {
        text.push_str(&format!("({} earlier lines are gone)\n", log.gone));
    }
    let line = |line: &PluginLogLine| if json { line_json(line) } else { line_text(line) };
    text.extend(log.lines.iter().map(line));
    text
}

fn line_text(line: &PluginLogLine) -> String {
    let left_out = match line.left_out {
        0 => String::new(),
        count => format!("({count} lines left out)\n"),
    };
    let PluginLogLine {
        level, source, text, ..
    } = line;
    format!("{left_out}{} {level:5} {source}: {text}\n", time::show(line.time))
}

fn line_json(line: &PluginLogLine) -> String {
    let object = json!({
        "number": line.number,
        "time": line.time,
        "level": line.level,
        "source": line.source,
        "text": line.text,
        "left_out": line.left_out,
    });
    format!("{object}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_not_there_are_told() {
        let line = PluginLogLine {
            number: 9,
            time: 0,
            level: "warn".to_owned(),
            source: "plugin".to_owned(),
            text: "odd".to_owned(),
            left_out: 3,
        };
        let log = PluginLog {
            lines: vec![line],
            gone: 2,
        };
        let text = show(&log, false);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[..2], ["(2 earlier lines are gone)", "(3 lines left out)"]);
        assert!(lines[2].ends_with("warn  plugin: odd"), "{text}");
        let object: serde_json::Value = serde_json::from_str(&show(&log, true)).unwrap();
        assert_eq!((&object["text"], &object["left_out"]), (&json!("odd"), &json!(3)));
    }
}
