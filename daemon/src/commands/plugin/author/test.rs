//! `strandline plugin test`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;

use super::answer::{Answer, Outcome};
use super::cases::{Case, Cases, Expected};
use super::component::{Component, Given};
use super::record::OwnRecord;
use super::tryout::Tryout;
use crate::commands::record_format::readable;
use crate::exit::{Exit, Failure};

/// Longest part of a record that is shown.
const SHOWN_BYTES: usize = 200;

/// What to test.
#[derive(Debug, Args)]
pub(in crate::commands::plugin) struct TestArgs {
    /// A plugin's directory, which is built first, or a component
    #[arg(default_value = ".", value_name = "DIR|FILE.wasm")]
    plugin: PathBuf,
    /// File with the cases [default: cases.json in the directory]
    #[arg(long, value_name = "FILE")]
    cases: Option<PathBuf>,
    /// Tell of cases that fail only
    #[arg(long, short)]
    quiet: bool,
}

/// Asks a plugin about its cases as a broker would, and tells what differs.
pub(in crate::commands::plugin) fn run(args: &TestArgs) -> Result<(String, Exit), Failure> {
    let given = Given::open(&args.plugin)?;
    let path = args.cases.clone().or(given.cases).ok_or_else(|| {
        Failure::new(
            "there are no cases: say --cases FILE, or put cases.json beside the plugin; `strandline plugin cases STREAM` makes \
             some of what a stream holds",
        )
    })?;
    let cases = Cases::read(&path)?;
    let mut trial = Trial::new(&given.component);
    let mut report = String::new();
    let (mut passed, mut failed) = (0, 0);
    for case in &cases.cases {
        match trial.run(case) {
            Ok(()) if args.quiet => passed += 1,
            Ok(()) => {
                passed += 1;
                let _ = writeln!(report, "ok    {}", case.name);
            }
            Err(difference) => {
                failed += 1;
                let _ = write!(report, "FAIL  {}\n{difference}", case.name);
            }
        }
    }
    for difference in trial.ask_together() {
        failed += 1;
        report.push_str(&difference);
    }
    let _ = writeln!(
        report,
        "{}: {passed} passed, {failed} failed",
        given.component.name()
    );
    let exit = if failed == 0 { Exit::Success } else { Exit::Failed };
    Ok((report, exit))
}

/// A component under test.
struct Trial<'a> {
    component: &'a Component,
    /// By their settings; an error where the plugin does not take them.
    started: BTreeMap<&'a str, Result<Started<'a>, String>>,
}

/// The component with settings, and what it has said so far.
struct Started<'a> {
    tryout: Tryout,
    said: Vec<(&'a Case, Outcome)>,
}

impl<'a> Trial<'a> {
    fn new(component: &'a Component) -> Self {
        Self {
            component,
            started: BTreeMap::new(),
        }
    }

    /// How the plugin's answer differs from what is expected, if it does.
    fn run(&mut self, case: &'a Case) -> Result<(), String> {
        let component = self.component;
        let started = self.started.entry(&case.settings).or_insert_with(|| {
            let tryout = Tryout::new(component, &case.settings).map_err(|error| error.to_string())?;
            let said = Vec::new();
            Ok(Started { tryout, said })
        });
        match (&case.expected, started) {
            (Expected::Refused(text), Err(refusal)) if refusal.contains(text.as_str()) => Ok(()),
            (Expected::Refused(text), Err(refusal)) => Err(rows(&[
                ("expected", format!("settings are refused: {text}")),
                ("got", refusal.clone()),
            ])),
            (Expected::Refused(text), Ok(_)) => Err(rows(&[
                ("expected", format!("settings are refused: {text}")),
                ("got", format!("the plugin takes {}", case.settings)),
            ])),
            (_, Err(refusal)) => Err(rows(&[
                ("settings", case.settings.clone()),
                ("got", refusal.clone()),
            ])),
            (expected, Ok(started)) => {
                let answer = started.tryout.ask_why(&case.record);
                started.said.push((case, answer.outcome.clone()));
                compare(expected, &answer, case, &mut started.tryout)
            }
        }
    }

    /// Asks about all records with the same settings at once: answers that differ then depend on more than the record.
    fn ask_together(&mut self) -> Vec<String> {
        let mut differences = Vec::new();
        for started in self.started.values_mut().flatten() {
            let records: Vec<_> = started.said.iter().map(|(case, _)| case.record.clone()).collect();
            let together = started.tryout.ask(&records);
            for ((case, alone), together) in started.said.iter().zip(together) {
                // A call that failed may have taken the time of others.
                if !together.crashed && *alone != together.outcome {
                    let mut text = format!("FAIL  {}, asked together with the other cases\n", case.name);
                    text.push_str(&rows(&[
                        ("alone", alone.to_string()),
                        ("together", together.to_string()),
                        (
                            "",
                            "an answer may depend on nothing but the record and the settings".to_owned(),
                        ),
                    ]));
                    differences.push(text);
                }
            }
        }
        differences
    }
}

fn compare(expected: &Expected, answer: &Answer, case: &Case, tryout: &mut Tryout) -> Result<(), String> {
    let wanted = match expected {
        Expected::Outcome(outcome, reason) => {
            if *outcome == answer.outcome && answer.reason.contains(reason.as_str()) {
                return Ok(());
            }
            match reason.as_str() {
                "" => outcome.to_string(),
                reason => format!("{outcome}: {reason}"),
            }
        }
        _ if !answer.crashed => return Ok(()),
        _ => "an answer".to_owned(),
    };
    let mut text = rows(&[
        ("expected", wanted),
        ("got", answer.to_string()),
        ("record", shown(&case.record)),
    ]);
    for line in tryout.said() {
        text.push_str(&rows(&[("said", format!("{}: {}", line.source, line.text))]));
    }
    for line in own_calls(&answer.detail) {
        text.push_str(&rows(&[("", line.to_owned())]));
    }
    Err(text)
}

/// The calls that led to a failure, but for those in Rust's own libraries; all of them where none is known by its place.
pub(super) fn own_calls(detail: &str) -> Vec<&str> {
    let placed = |line: &&str| line.ends_with(')') && !line.contains("(/rustc/");
    let own: Vec<_> = detail.lines().filter(placed).collect();
    if own.is_empty() {
        return detail.lines().collect();
    }
    own
}

/// Lines that explain a case.
fn rows(rows: &[(&str, String)]) -> String {
    rows.iter()
        .map(|(what, value)| format!("      {what:8}  {value}\n"))
        .collect()
}

/// A record on one line.
pub(super) fn shown(record: &OwnRecord) -> String {
    let mut text = readable(record.subject.as_bytes());
    let mut add = |part: String| {
        if !text.is_empty() {
            text.push_str("  ");
        }
        text.push_str(&part);
    };
    if let Some(key) = &record.key {
        add(format!("key={}", shortened(key)));
    }
    for (name, value) in &record.headers {
        add(format!("{}={}", name.escape_debug(), shortened(value)));
    }
    add(shortened(&record.value));
    text
}

fn shortened(bytes: &[u8]) -> String {
    let Some(start) = bytes.get(..SHOWN_BYTES).filter(|_| bytes.len() > SHOWN_BYTES) else {
        return readable(bytes);
    };
    // A character that is cut in two would make bytes of all of it.
    let end = match str::from_utf8(start) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => start.len(),
    };
    format!("{}…", readable(start.get(..end).unwrap_or(start)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_of_the_author_are_shown_before_those_of_libraries() {
        let detail = "at abort\nat std::panic (/rustc/1/std.rs:1)\nat judge (/p/src/lib.rs:2)\n";
        assert_eq!(own_calls(detail), ["at judge (/p/src/lib.rs:2)"]);
        assert_eq!(own_calls("at function 7\n"), ["at function 7"]);
    }

    #[test]
    fn a_record_is_shown_on_one_line_of_bounded_length() {
        let record = OwnRecord {
            key: Some("k".into()),
            subject: "s".to_owned(),
            headers: vec![("a".to_owned(), "b\n".into())],
            value: "ä".repeat(SHOWN_BYTES).into(),
        };
        let text = shown(&record);
        assert!(
            text.starts_with("s  key=k  a=b\\n  ää") && text.ends_with("ä…"),
            "{text}"
        );
        assert!(text.len() < 2 * SHOWN_BYTES);
        let record = OwnRecord {
            value: vec![0xff; 300].into(),
            ..OwnRecord::default()
        };
        assert!(shown(&record).starts_with("\\xff"), "{}", shown(&record));
    }
}
