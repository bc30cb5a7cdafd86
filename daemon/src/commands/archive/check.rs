//! `strandline archive check`: whether archives can be kept in a bucket.

use clap::Args;
use serde_json::{Value, json};
use strandline_broker::maintenance::archive::{Tried, probe};

use super::bucket::BucketArgs;
use crate::exit::{Exit, Failure};

/// Which bucket.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    bucket: BucketArgs,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// Tries everything that an archive needs, and tells what came of it.
pub(super) async fn run(args: &CheckArgs) -> Result<(String, Exit), Failure> {
    let survey = args.bucket.open()?;
    let url = survey.bucket().url().to_owned();
    let tries = probe(survey.bucket()).await;
    let shown = if args.json {
        format!("{}\n", object(&url, &tries.findings))
    } else {
        text(&url, &tries.findings)
    };
    let exit = if tries.is_usable() {
        Exit::Success
    } else {
        Exit::Failed
    };
    Ok((shown, exit))
}

fn text(url: &str, tries: &[Tried]) -> String {
    let line = |tried: &Tried| match &tried.result {
        Ok(()) => format!("ok      {}\n", tried.what),
        Err(reason) => format!("FAILED  {}: {reason}\n", tried.what),
    };
    let verdict = if tries.iter().all(|tried| tried.result.is_ok()) {
        "streams can be archived in"
    } else {
        "streams cannot be archived in"
    };
    format!("{}{verdict} {url}\n", tries.iter().map(line).collect::<String>())
}

fn object(url: &str, tries: &[Tried]) -> Value {
    let tried = |tried: &Tried| json!({ "what": tried.what, "problem": tried.result.as_ref().err() });
    json!({
        "url": url,
        "is_usable": tries.iter().all(|tried| tried.result.is_ok()),
        "tries": tries.iter().map(tried).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_work_is_told_with_its_reason() {
        let tries = [
            Tried {
                what: "read an object",
                result: Ok(()),
            },
            Tried {
                what: "delete objects",
                result: Err("403 Forbidden".to_owned()),
            },
        ];
        let shown = text("s3://b", &tries);
        let expected = "ok      read an object\nFAILED  delete objects: 403 Forbidden\nstreams cannot be archived in s3://b\n";
        assert_eq!(shown, expected);
        assert!(text("s3://b", &tries[..1]).ends_with("streams can be archived in s3://b\n"));
        assert_eq!(object("s3://b", &tries)["tries"][1]["problem"], "403 Forbidden");
    }
}
