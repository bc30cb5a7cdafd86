//! `strandline plugin attach` and `detach`.

use std::time::Duration;

use clap::Args;
use strandline_client::admin::{Admin, ErrorPolicy, NewAttachment, Side};

use super::super::connection::refused;
use super::settings::{PluginRef, VariantArgs};
use super::show;
use crate::config::parse_duration;
use crate::exit::Failure;

/// A plugin to attach. It acts on whole batches from the next one on.
#[derive(Debug, Args)]
pub(super) struct AttachArgs {
    /// Name of the stream
    stream: String,
    /// The plugin, or a version of it instead of the newest: NAME or NAME@VERSION
    plugin: PluginRef,
    /// Where it acts: write filters what is stored, key gives keys to records without one, read filters what every subscriber gets
    #[arg(long, value_name = "SIDE", default_value = "write")]
    side: Side,
    /// Place in the chain: lower ones act first, among equals the one that was attached first
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 0,
        allow_negative_numbers = true
    )]
    order: i32,
    #[command(flatten)]
    settings: VariantArgs,
    /// What becomes of a record that the plugin fails on: fail, drop, pass or dead-letter
    #[arg(long, value_name = "POLICY", default_value = "fail")]
    on_error: ErrorPolicy,
    /// Stream for dead letters
    #[arg(long, value_name = "STREAM")]
    dead_letters: Option<String>,
    /// Memory of an instance, in bytes [default: the broker's plugins.memory.max]
    #[arg(long, value_name = "BYTES")]
    memory: Option<u64>,
    /// Time for a batch [default: the broker's plugins.batch.budget]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    budget: Option<Duration>,
    /// Ask the plugin for the reasons of drops, for `plugin logs`
    #[arg(long)]
    debug: bool,
    /// Print the attachment as one JSON object
    #[arg(long)]
    json: bool,
}

/// An attachment to take away.
#[derive(Debug, Args)]
pub(super) struct DetachArgs {
    /// Number of the attachment, as `plugin list --stream NAME` shows it
    attachment: u64,
}

/// Attaches a plugin and shows the attachment.
pub(super) async fn attach(args: AttachArgs, admin: &Admin) -> Result<String, Failure> {
    let PluginRef { name, version } = &args.plugin;
    let wanted = NewAttachment {
        order: args.order,
        variant: args.settings.variant(*version, "")?,
        policy: args.on_error,
        dead_letters: args.dead_letters,
        memory_bytes: args.memory,
        budget: args.budget,
        debug: args.debug,
        ..NewAttachment::new(&args.stream, args.side, name)
    };
    let what = format!("attach plugin {name} to stream {}", args.stream);
    let attached = admin
        .attach_plugin(wanted)
        .await
        .map_err(|error| refused(&what, &error))?;
    Ok(show::changed(&attached, args.json))
}

/// Takes an attachment away.
pub(super) async fn detach(args: &DetachArgs, admin: &Admin) -> Result<String, Failure> {
    let detached = admin.detach_plugin(args.attachment).await;
    let detached =
        detached.map_err(|error| refused(&format!("detach attachment {}", args.attachment), &error))?;
    Ok(format!(
        "detached plugin {} from stream {}\n",
        detached.plugin, detached.stream
    ))
}
