//! Where log lines go and which are written.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::Logging;

/// Libraries whose news below warnings is of no use to who runs a broker.
const NOISY: [&str; 6] = ["h2", "hyper", "hyper_util", "tower", "tonic", "rustls"];

/// Sends log lines to the standard error output from now on.
pub(super) fn start(logging: &Logging) {
    let filter = EnvFilter::builder().parse_lossy(directives(logging));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let started = if logging.json {
        lines.json().flatten_event(true).try_init()
    } else {
        lines
            .with_ansi(std::io::stderr().is_terminal())
            .with_target(false)
            .try_init()
    };
    // Only possible if something else in the process logs already.
    drop(started);
}

fn directives(logging: &Logging) -> String {
    let level = logging.level.as_str();
    let quiet = if level == "error" { "error" } else { "warn" };
    let part = |on: bool| if on { level } else { quiet };
    let mut directives = vec![level.to_owned()];
    directives.extend(NOISY.map(|library| format!("{library}={quiet}")));
    directives.push(format!("openraft={}", part(logging.raft)));
    directives.extend(["strandline_nats", "async_nats"].map(|nats| format!("{nats}={}", part(logging.nats))));
    if logging.recovery {
        directives.push(format!(
            "strandline_broker::metadata={}",
            if level == "trace" { "trace" } else { "debug" }
        ));
    }
    directives.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logging(level: &str) -> Logging {
        Logging {
            level: level.to_owned(),
            json: false,
            recovery: false,
            raft: false,
            nats: false,
        }
    }

    #[test]
    fn parts_are_quiet_unless_asked_for() {
        let text = directives(&logging("debug"));
        assert!(
            text.starts_with("debug,")
                && text.contains("openraft=warn")
                && text.contains("strandline_nats=warn")
                && text.contains("async_nats=warn")
        );
        let text = directives(&Logging {
            raft: true,
            nats: true,
            recovery: true,
            ..logging("info")
        });
        assert!(
            text.contains("openraft=info") && text.contains("strandline_nats=info"),
            "{text}"
        );
        assert!(text.contains("strandline_broker::metadata=debug"), "{text}");
    }

    #[test]
    fn no_part_is_louder_than_the_level() {
        assert!(!directives(&logging("error")).contains("warn"));
    }

    #[test]
    fn every_directive_is_understood() {
        for level in ["trace", "debug", "info", "warn", "error"] {
            let all = Logging {
                json: false,
                recovery: true,
                raft: true,
                nats: true,
                level: level.to_owned(),
            };
            assert!(EnvFilter::builder().parse(directives(&all)).is_ok());
        }
    }
}
