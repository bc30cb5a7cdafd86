//! `strandline plugin canary`, `promote` and `rollback`.

use clap::Args;
use strandline_client::admin::{Admin, CanaryMode};

use super::super::connection::refused;
use super::settings::VariantArgs;
use super::{attachment, show};
use crate::exit::Failure;

/// What to try on an attachment, and how.
#[derive(Debug, Args)]
pub(super) struct CanaryArgs {
    /// Number of the attachment
    attachment: u64,
    /// Version to try [default: the newest]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    version: Option<u32>,
    #[command(flatten)]
    settings: VariantArgs,
    #[command(flatten)]
    mode: Mode,
    /// Print the attachment as one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Mode {
    /// Let it decide on this share of the batches
    #[arg(long, value_name = "1-99", value_parser = clap::value_parser!(u32).range(1..=99))]
    percent: Option<u32>,
    /// Ask it beside the active version and only count how its answers differ
    #[arg(long)]
    shadow: bool,
}

/// An attachment whose canary becomes active.
#[derive(Debug, Args)]
pub(super) struct PromoteArgs {
    /// Number of the attachment
    attachment: u64,
    /// Print the attachment as one JSON object
    #[arg(long)]
    json: bool,
}

/// An attachment to take back.
#[derive(Debug, Args)]
pub(super) struct RollbackArgs {
    /// Number of the attachment
    attachment: u64,
    /// Print the attachment as one JSON object
    #[arg(long)]
    json: bool,
}

/// Starts a canary. Settings that are not given are those of the active version.
pub(super) async fn start(args: CanaryArgs, admin: &Admin) -> Result<String, Failure> {
    let what = format!("try a canary on attachment {}", args.attachment);
    let now = attachment(admin, args.attachment, &what).await?;
    let candidate = args.settings.variant(args.version, &now.active.settings)?;
    let mode = args.mode.percent.map_or(CanaryMode::Shadow, CanaryMode::Percent);
    let started = admin.start_canary(args.attachment, candidate, mode).await;
    let started = started.map_err(|error| refused(&what, &error))?;
    Ok(show::changed(&started, args.json))
}

/// Makes the canary active.
pub(super) async fn promote(args: &PromoteArgs, admin: &Admin) -> Result<String, Failure> {
    let promoted = admin.promote_canary(args.attachment).await;
    let what = format!("promote the canary of attachment {}", args.attachment);
    let promoted = promoted.map_err(|error| refused(&what, &error))?;
    Ok(show::changed(&promoted, args.json))
}

/// Ends the canary, or goes back.
pub(super) async fn roll_back(args: &RollbackArgs, admin: &Admin) -> Result<String, Failure> {
    let rolled_back = admin.roll_back_attachment(args.attachment).await;
    let what = format!("roll attachment {} back", args.attachment);
    let rolled_back = rolled_back.map_err(|error| refused(&what, &error))?;
    Ok(show::changed(&rolled_back, args.json))
}
