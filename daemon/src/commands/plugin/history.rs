//! `strandline plugin history`.

use clap::Args;
use serde_json::json;
use strandline_client::admin::{Admin, PluginEvent};

use super::super::connection::refused;
use super::super::stream::columns;
use crate::exit::Failure;
use crate::time;

/// Whose history to show; the newest 64 events of each are kept.
#[derive(Debug, Args)]
pub(super) struct HistoryArgs {
    /// Name of a plugin
    #[arg(required_unless_present = "attachment")]
    plugin: Option<String>,
    /// Of this attachment instead, by its number
    #[arg(long, value_name = "NUMBER", conflicts_with = "plugin")]
    attachment: Option<u64>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// Shows a history, oldest first.
pub(super) async fn run(args: &HistoryArgs, admin: &Admin) -> Result<String, Failure> {
    let events = match (args.attachment, &args.plugin) {
        (Some(attachment), _) => admin.attachment_history(attachment).await,
        (None, plugin) => admin.plugin_history(plugin.as_deref().unwrap_or_default()).await,
    };
    let events = events.map_err(|error| refused("show the history", &error))?;
    if args.json {
        return Ok(events
            .iter()
            .map(|event| format!("{}\n", event_json(event)))
            .collect());
    }
    let header = ["TIME", "BY", "ACTION", "VERSION", "ATTACHMENT", "STREAM"].map(str::to_owned);
    let row = |event: &PluginEvent| {
        let or_all = |number: Option<u64>, otherwise: &str| {
            number.map_or_else(|| otherwise.to_owned(), |number| number.to_string())
        };
        [
            time::show(event.at),
            event.by.clone(),
            event.action.clone(),
            or_all(event.version.map(u64::from), "all"),
            or_all(event.attachment, "-"),
            if event.stream.is_empty() {
                "-".to_owned()
            } else {
                event.stream.clone()
            },
        ]
    };
    let rows: Vec<_> = [header].into_iter().chain(events.iter().map(row)).collect();
    Ok(columns(&rows))
}

/// An event as JSON.
pub(super) fn event_json(event: &PluginEvent) -> serde_json::Value {
    json!({
        "at": event.at,
        "by": event.by,
        "action": event.action,
        "version": event.version,
        "attachment": event.attachment,
        "stream": Some(&event.stream).filter(|stream| !stream.is_empty()),
    })
}
