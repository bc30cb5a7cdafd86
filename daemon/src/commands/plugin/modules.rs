//! `strandline plugin push`, `list`, `info` and `delete`.

use std::path::PathBuf;

use clap::Args;
use strandline_client::admin::{Admin, Plugin};

use super::super::connection::refused;
use super::settings::PluginRef;
use super::show;
use crate::exit::Failure;

/// A version to add. Bytes that the plugin has already are the version that they were.
#[derive(Debug, Args)]
pub(super) struct PushArgs {
    /// Name of the plugin
    name: String,
    /// The component, a .wasm file
    file: PathBuf,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// What to list.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// The attachments of this stream, in the order in which they act, instead of plugins
    #[arg(long, value_name = "NAME", conflicts_with = "attachments")]
    stream: Option<String>,
    /// The attachments of all streams instead of plugins
    #[arg(long)]
    attachments: bool,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// The plugin to describe.
#[derive(Debug, Args)]
pub(super) struct InfoArgs {
    /// Name of the plugin
    name: String,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// What to delete.
#[derive(Debug, Args)]
pub(super) struct DeleteArgs {
    /// The plugin with all versions, or one of them: NAME or NAME@VERSION
    plugin: PluginRef,
}

/// Adds a version.
pub(super) async fn push(args: &PushArgs, admin: &Admin) -> Result<String, Failure> {
    let bytes = std::fs::read(&args.file)
        .map_err(|error| Failure::new(format!("cannot read {}: {error}", args.file.display())))?;
    let pushed = admin.push_plugin(&args.name, bytes).await;
    let pushed = pushed.map_err(|error| refused(&format!("push {}", args.file.display()), &error))?;
    Ok(if args.json {
        show::pushed_json(&pushed)
    } else {
        show::pushed(&pushed)
    })
}

/// Lists plugins or attachments.
pub(super) async fn list(args: &ListArgs, admin: &Admin) -> Result<String, Failure> {
    if args.stream.is_some() || args.attachments {
        let listed = admin.list_attachments(args.stream.as_deref()).await;
        let attachments = listed.map_err(|error| refused("list attachments", &error))?;
        return Ok(if args.json {
            attachments
                .iter()
                .map(|one| format!("{}\n", show::attachment_json(one)))
                .collect()
        } else {
            show::attachments(&attachments)
        });
    }
    let plugins = admin
        .list_plugins()
        .await
        .map_err(|error| refused("list plugins", &error))?;
    Ok(if args.json {
        let line = |plugin: &Plugin| format!("{}\n", show::plugin_json(plugin));
        plugins.iter().map(line).collect()
    } else {
        show::plugins(&plugins)
    })
}

/// Describes a plugin.
pub(super) async fn info(args: &InfoArgs, admin: &Admin) -> Result<String, Failure> {
    let described = admin.describe_plugin(&args.name).await;
    let described = described.map_err(|error| refused(&format!("describe plugin {}", args.name), &error))?;
    Ok(if args.json {
        show::description_json(&described)
    } else {
        show::description(&described)
    })
}

/// Deletes versions.
pub(super) async fn delete(args: &DeleteArgs, admin: &Admin) -> Result<String, Failure> {
    let PluginRef { name, version } = &args.plugin;
    let deleted = admin.delete_plugin(name, *version).await;
    let versions = deleted.map_err(|error| refused(&format!("delete plugin {name}"), &error))?;
    Ok(match version {
        Some(version) => format!("deleted version {version} of plugin {name}\n"),
        None => format!("deleted plugin {name}, {versions} versions\n"),
    })
}
