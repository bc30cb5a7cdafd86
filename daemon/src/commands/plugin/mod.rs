//! `strandline plugin`: modules, their attachments to streams, and what those do.

mod attach;
mod author;
mod canary;
mod history;
mod logs;
mod modules;
mod set;
mod settings;
mod show;
mod stats;

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use strandline_client::Client;
use strandline_client::admin::{Admin, Attachment};

pub(super) use settings::json;

use super::connection::{ConnectionArgs, refused};
use super::output_failure;
use crate::exit::{Exit, Failure};

/// What is said about plugins.
#[derive(Debug, Args)]
pub(crate) struct PluginArgs {
    #[command(subcommand)]
    command: PluginCommand,
    #[command(flatten)]
    connection: ConnectionArgs,
    /// Send the token in this file to a broker that wants one [default: STRANDLINE_ADMIN_TOKEN]
    #[arg(long, value_name = "FILE", global = true)]
    admin_token_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum PluginCommand {
    #[command(flatten)]
    Local(LocalCommand),
    #[command(flatten)]
    Broker(BrokerCommand),
}

/// What needs no broker.
#[derive(Debug, Subcommand)]
enum LocalCommand {
    /// Write a plugin to begin with, SDK included
    New(author::NewArgs),
    /// Build a plugin's component
    Build(author::BuildArgs),
    /// Ask a plugin about the cases in a file, and tell what differs from what is expected
    Test(author::TestArgs),
    /// Measure what a plugin costs a record
    Bench(author::BenchArgs),
}

/// What is asked of a broker.
#[derive(Debug, Subcommand)]
enum BrokerCommand {
    /// Make cases for `plugin test` of what a stream holds
    Cases(author::CasesArgs),
    /// Ask a plugin about what a stream holds, without effect, and compare it with another version
    Replay(Box<author::ReplayArgs>),
    /// Add a version of a plugin from a file
    Push(modules::PushArgs),
    /// List plugins, or the attachments of a stream
    List(modules::ListArgs),
    /// Describe a plugin, its versions and who uses it
    Info(modules::InfoArgs),
    /// Delete versions of a plugin that no stream uses
    Delete(modules::DeleteArgs),
    /// Attach a plugin to a stream
    Attach(attach::AttachArgs),
    /// Take an attachment away from its stream
    Detach(attach::DetachArgs),
    /// Change an attachment at once: version, settings, order, error policy
    Set(set::SetArgs),
    /// Try another version or other settings beside the active ones
    Canary(canary::CanaryArgs),
    /// Make the canary the active version
    Promote(canary::PromoteArgs),
    /// End the canary; without one go back to what was active before
    Rollback(canary::RollbackArgs),
    /// Show who did what when
    History(history::HistoryArgs),
    /// Show what an attachment's plugin has said
    Logs(logs::LogsArgs),
    /// Show what attachments have done
    Stats(stats::StatsArgs),
}

/// Runs the command.
pub(crate) async fn run(args: PluginArgs) -> Result<Exit, Failure> {
    match args.command {
        PluginCommand::Local(command) => run_here(&command),
        PluginCommand::Broker(command) => {
            let token = args.admin_token_file.as_deref();
            let client = args.connection.connect_as_admin(token).await?;
            ask(command, &client).await
        }
    }
}

fn run_here(command: &LocalCommand) -> Result<Exit, Failure> {
    let (text, exit) = match command {
        LocalCommand::New(new) => (author::new(new)?, Exit::Success),
        LocalCommand::Build(build) => (author::build(build)?, Exit::Success),
        LocalCommand::Test(test) => author::test(test)?,
        LocalCommand::Bench(bench) => (author::bench(bench)?, Exit::Success),
    };
    print(&text)?;
    Ok(exit)
}

async fn ask(command: BrokerCommand, client: &Client) -> Result<Exit, Failure> {
    let admin = client.admin();
    let text = match command {
        BrokerCommand::Cases(cases) => author::capture(&cases, client).await?,
        BrokerCommand::Replay(replay) => return author::replay(&replay, client).await,
        BrokerCommand::Push(push) => modules::push(&push, &admin).await?,
        BrokerCommand::List(list) => modules::list(&list, &admin).await?,
        BrokerCommand::Info(info) => modules::info(&info, &admin).await?,
        BrokerCommand::Delete(delete) => modules::delete(&delete, &admin).await?,
        BrokerCommand::Attach(attach) => attach::attach(attach, &admin).await?,
        BrokerCommand::Detach(detach) => attach::detach(&detach, &admin).await?,
        BrokerCommand::Set(set) => set::run(set, &admin).await?,
        BrokerCommand::Canary(canary) => canary::start(canary, &admin).await?,
        BrokerCommand::Promote(promote) => canary::promote(&promote, &admin).await?,
        BrokerCommand::Rollback(rollback) => canary::roll_back(&rollback, &admin).await?,
        BrokerCommand::History(history) => history::run(&history, &admin).await?,
        BrokerCommand::Logs(logs) => return logs::run(&logs, &admin).await,
        BrokerCommand::Stats(stats) => stats::run(&stats, &admin).await?,
    };
    print(&text)?;
    Ok(Exit::Success)
}

/// The attachment with this number as it is now, for `what` is to be done with it.
async fn attachment(admin: &Admin, number: u64, what: &str) -> Result<Attachment, Failure> {
    let listed = admin.list_attachments(None).await;
    let listed = listed.map_err(|error| refused(what, &error))?;
    let found = listed.into_iter().find(|one| one.id == number);
    found.ok_or_else(|| Failure::new(format!("cannot {what}: there is no such attachment")))
}

fn print(text: &str) -> Result<(), Failure> {
    let written = std::io::stdout().lock().write_all(text.as_bytes());
    written.map_err(|error| output_failure(&error))
}
