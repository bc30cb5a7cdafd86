//! `strandline plugin set`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use strandline_client::admin::{Admin, Attachment, AttachmentUpdate, ErrorPolicy, Variant};

use super::super::connection::refused;
use super::settings::{VariantArgs, json};
use super::{attachment, show};
use crate::config::parse_duration;
use crate::exit::Failure;

/// What changes about an attachment, from one batch to the next. What is left out stays as it is.
#[derive(Debug, Args)]
pub(super) struct SetArgs {
    /// Number of the attachment
    attachment: u64,
    #[command(flatten)]
    changes: Changes,
    /// Print the attachment as one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct Changes {
    /// Version of the plugin; the one before can be rolled back to
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    version: Option<u32>,
    // Stand here themselves: a group does not count what is flattened into it.
    /// Settings for the plugin, as JSON
    #[arg(long, value_name = "JSON", conflicts_with = "settings_file", value_parser = json)]
    settings: Option<String>,
    /// File with the settings, as JSON
    #[arg(long, value_name = "FILE")]
    settings_file: Option<PathBuf>,
    /// Place in the chain
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    order: Option<i32>,
    /// What becomes of a record that the plugin fails on: fail, drop, pass or dead-letter
    #[arg(long, value_name = "POLICY")]
    on_error: Option<ErrorPolicy>,
    /// Stream for dead letters; empty = none
    #[arg(long, value_name = "STREAM")]
    dead_letters: Option<String>,
    /// Memory of an instance, in bytes; 0 = the broker's plugins.memory.max
    #[arg(long, value_name = "BYTES")]
    memory: Option<u64>,
    /// Time for a batch; 0 = the broker's plugins.batch.budget
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    budget: Option<Duration>,
    /// Whether the plugin is asked for the reasons of drops: true or false
    #[arg(long, value_name = "BOOL")]
    debug: Option<bool>,
}

/// Changes the attachment and shows it.
pub(super) async fn run(args: SetArgs, admin: &Admin) -> Result<String, Failure> {
    let what = format!("change attachment {}", args.attachment);
    let now = attachment(admin, args.attachment, &what).await?;
    let update = args.changes.update(&now)?;
    let changed = admin.change_attachment(args.attachment, update).await;
    let changed = changed.map_err(|error| refused(&what, &error))?;
    Ok(show::changed(&changed, args.json))
}

impl Changes {
    /// The change, with what belongs together and is left out as it is now.
    fn update(self, now: &Attachment) -> Result<AttachmentUpdate, Failure> {
        let given = VariantArgs {
            settings: self.settings,
            settings_file: self.settings_file,
        };
        let settings = given.settings()?;
        let variant = (self.version.is_some() || settings.is_some()).then(|| Variant {
            version: self.version.or(now.active.version),
            settings: settings.unwrap_or_else(|| now.active.settings.clone()),
        });
        let on_error = (self.on_error.is_some() || self.dead_letters.is_some()).then(|| {
            let dead_letters = self.dead_letters.map_or(now.dead_letters.clone(), Some);
            let dead_letters = dead_letters.filter(|name| !name.is_empty());
            (self.on_error.unwrap_or(now.policy), dead_letters)
        });
        let limits = (self.memory.is_some() || self.budget.is_some()).then(|| {
            let memory = self
                .memory
                .map_or(now.memory_bytes, Some)
                .filter(|&bytes| bytes > 0);
            let budget = self
                .budget
                .map_or(now.budget, Some)
                .filter(|budget| !budget.is_zero());
            (memory, budget)
        });
        Ok(AttachmentUpdate {
            variant,
            order: self.order,
            on_error,
            limits,
            debug: self.debug,
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use strandline_client::admin::{NewAttachment, Side};

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: SetArgs,
    }

    fn parse(line: &str) -> Result<SetArgs, clap::Error> {
        let words = ["set"].into_iter().chain(line.split_whitespace());
        Line::try_parse_from(words).map(|line| line.args)
    }

    fn now() -> Attachment {
        let new = NewAttachment::new("orders", Side::Write, "f");
        Attachment {
            id: 1,
            stream: new.stream,
            side: Some(new.side),
            order: 0,
            plugin: new.plugin,
            active: Variant {
                version: Some(3),
                settings: "[1]".to_owned(),
            },
            previous: None,
            canary: None,
            policy: ErrorPolicy::DeadLetter,
            dead_letters: Some("bad".to_owned()),
            memory_bytes: Some(1 << 20),
            budget: None,
            debug: false,
            attached: 0,
            problem: String::new(),
        }
    }

    #[test]
    fn something_has_to_change() {
        assert!(parse("1").is_err() && parse("--order 1").is_err());
        for line in [
            "1 --settings {}",
            "1 --order -1",
            "1 --debug true",
            "1 --version 2",
        ] {
            assert!(parse(line).is_ok(), "{line}");
        }
        assert!(parse("1 --settings {} --settings-file x").is_err());
    }

    #[test]
    fn what_belongs_together_and_is_left_out_stays() {
        let update = |line| parse(line).unwrap().changes.update(&now()).unwrap();
        let variant = update("1 --settings {}").variant.unwrap();
        assert_eq!((variant.version, variant.settings.as_str()), (Some(3), "{}"));
        let variant = update("1 --version 4").variant.unwrap();
        assert_eq!((variant.version, variant.settings.as_str()), (Some(4), "[1]"));
        let letters = Some("bad".to_owned());
        assert_eq!(
            update("1 --on-error drop").on_error,
            Some((ErrorPolicy::Drop, letters))
        );
        assert_eq!(
            update("1 --dead-letters=").on_error,
            Some((ErrorPolicy::DeadLetter, None))
        );
        let second = Duration::from_secs(1);
        assert_eq!(
            update("1 --budget 1s").limits,
            Some((Some(1 << 20), Some(second)))
        );
        assert_eq!(update("1 --memory 0").limits, Some((None, None)));
        assert_eq!(update("1 --debug true").variant, None);
    }
}
