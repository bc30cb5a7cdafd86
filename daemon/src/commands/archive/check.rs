//! `strandline archive check`: whether archives can be kept in a bucket.

use clap::Args;
use serde_json::{Value, json};
use strandline_broker::maintenance::archive::{Failed, Tried, Tries, probe};

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
        format!("{}\n", object(&url, &tries))
    } else {
        text(&url, &tries)
    };
    let exit = if tries.is_usable() {
        Exit::Success
    } else {
        Exit::Failed
    };
    Ok((shown, exit))
}

fn text(url: &str, tries: &Tries) -> String {
    let line = |tried: &Tried| match &tried.result {
        Ok(()) => format!("ok      {}\n", tried.what),
        Err(Failed::Proven(reason)) => format!("FAILED  {}: {reason}\n", tried.what),
        Err(Failed::Unknown(reason)) => format!("UNKNOWN {}: {reason}\n", tried.what),
    };
    let verdict = match (tries.is_usable(), tries.is_proven()) {
        (true, _) => "streams can be archived in",
        (false, true) => "streams cannot be archived in",
        (false, false) => "no usable answers, so it is not known whether streams can be archived in",
    };
    let lines: String = tries.findings.iter().map(line).collect();
    format!("{lines}{verdict} {url}\n")
}

fn object(url: &str, tries: &Tries) -> Value {
    let tried = |tried: &Tried| {
        let problem = tried.result.as_ref().err().map(ToString::to_string);
        let is_known = !matches!(tried.result, Err(Failed::Unknown(_)));
        json!({ "what": tried.what, "problem": problem, "is_known": is_known })
    };
    json!({
        "url": url,
        "is_usable": tries.is_usable(),
        "tries": tries.findings.iter().map(tried).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_work_is_told_with_its_reason() {
        let tried = |what, result| Tried { what, result };
        let failed = Failed::Proven("403 Forbidden".to_owned());
        let silent = Failed::Unknown("503".to_owned());
        let mut tries = Tries {
            findings: vec![
                tried("read an object", Ok(())),
                tried("list objects", Err(silent)),
                tried("delete objects", Err(failed)),
            ],
        };
        let shown = text("s3://b", &tries);
        let expected = "ok      read an object\nUNKNOWN list objects: 503\nFAILED  delete objects: 403 Forbidden\n\
                        streams cannot be archived in s3://b\n";
        assert_eq!(shown, expected);
        assert_eq!(object("s3://b", &tries)["tries"][2]["problem"], "403 Forbidden");
        assert_eq!(object("s3://b", &tries)["tries"][1]["is_known"], false);
        tries.findings.truncate(2);
        let shown = text("s3://b", &tries);
        assert!(
            shown.ends_with("it is not known whether streams can be archived in s3://b\n"),
            "{shown}"
        );
        tries.findings.truncate(1);
        assert!(text("s3://b", &tries).ends_with("\nstreams can be archived in s3://b\n"));
    }
}
