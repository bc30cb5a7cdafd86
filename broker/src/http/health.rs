//! Whether a broker is alive, and whether it serves.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

use crate::context::Context;

/// How long the appender may be silent before the broker counts as stuck. A sync on a disk in trouble may take many
/// seconds, and a restart would not make it faster.
const APPENDER_MAX_SILENCE: Duration = Duration::from_secs(60);
/// How long one request waits for the appender.
const APPENDER_WAIT: Duration = Duration::from_millis(250);
/// How often it looks for the answer.
const APPENDER_LOOK: Duration = Duration::from_millis(2);

/// How far the broker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Clients are not served yet.
    Starting,
    /// They are.
    Serving,
    /// They are not any more.
    Stopping,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Reason {
    /// For machines.
    pub(super) reason: &'static str,
    /// For people.
    pub(super) detail: String,
}

/// What `/healthz` and `/readyz` answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Verdict {
    status: &'static str,
    reasons: Vec<Reason>,
}

impl Reason {
    fn new(reason: &'static str, detail: impl Into<String>) -> Self {
        Self {
            reason,
            detail: detail.into(),
        }
    }
}

impl Verdict {
    /// Good when there is no reason against it.
    pub(super) fn of(good: &'static str, bad: &'static str, reasons: Vec<Reason>) -> Self {
        let status = if reasons.is_empty() { good } else { bad };
        Self { status, reasons }
    }

    pub(super) fn is_good(&self) -> bool {
        self.reasons.is_empty()
    }
}

/// Why clients are not served, if they are not.
pub(super) fn unready(phase: Phase, context: Option<&Context>) -> Vec<Reason> {
    match (phase, context) {
        (Phase::Stopping, _) => vec![Reason::new("stopping", "the broker is stopping")],
        (Phase::Starting, _) | (_, None) => vec![Reason::new("starting", "the broker is opening its data")],
        (Phase::Serving, Some(context)) => {
            unready_while_serving(context.metadata.is_leader_known(), context.bus.is_connected())
        }
    }
}

fn unready_while_serving(leader_known: bool, connected: bool) -> Vec<Reason> {
    let mut reasons = Vec::new();
    if !leader_known {
        let detail = "nobody leads the metadata: streams can be neither created nor deleted";
        reasons.push(Reason::new("no_metadata_leader", detail));
    }
    if !connected {
        let detail = "the connection to the external nats is lost: nothing can be published";
        reasons.push(Reason::new("nats_disconnected", detail));
    }
    reasons
}

/// Partitions that only a restart cures, if there are any.
pub(super) fn failures(context: &Context) -> Vec<Reason> {
    let streams = context.streams.all();
    let failed = streams
        .iter()
        .flat_map(|stream| stream.open())
        .filter(|handle| handle.is_failed());
    let count = failed.count();
    if count == 0 {
        return Vec::new();
    }
    let detail = format!(
        "{count} partitions take no more writes since their logs failed: look at the disk, then restart the broker"
    );
    vec![Reason::new("log_failed", detail)]
}

/// Asks the appenders for a sign of life. At most one question is under way, however many ask.
#[derive(Debug, Default)]
pub(super) struct AppenderProbe {
    asked: Mutex<Option<Asked>>,
}

#[derive(Debug)]
struct Asked {
    at: Instant,
    /// One for each appender that has not answered.
    answers: Vec<oneshot::Receiver<()>>,
}

impl AppenderProbe {
    /// Why an appender counts as stuck, if it does.
    ///
    /// Cancel safety: a cancelled call leaves its question open for the next.
    pub(super) async fn check(&self, context: &Context) -> Option<Reason> {
        let begun = Instant::now();
        loop {
            let silence = self.silence(|| context.opener.stores.ping())?;
            if silence > APPENDER_MAX_SILENCE {
                let detail = format!(
                    "the thread that appends has not answered for {} s",
                    silence.as_secs()
                );
                return Some(Reason::new("appender_stuck", detail));
            }
            if begun.elapsed() >= APPENDER_WAIT {
                return None;
            }
            tokio::time::sleep(APPENDER_LOOK).await;
        }
    }

    /// For how long the question that is under way has waited; none once it is answered. Without one it is asked, unless
    /// one was answered just now.
    fn silence(&self, ask: impl FnOnce() -> Vec<oneshot::Receiver<()>>) -> Option<Duration> {
        let mut asked = self.asked.lock();
        let open = asked.get_or_insert_with(|| Asked {
            at: Instant::now(),
            answers: ask(),
        });
        let mut has_ended = false;
        open.answers.retain_mut(|answer| match answer.try_recv() {
            Ok(()) => false,
            Err(TryRecvError::Empty) => true,
            // It has ended, which only happens by a panic while the broker serves.
            Err(TryRecvError::Closed) => {
                has_ended = true;
                true
            }
        });
        if has_ended {
            return Some(Duration::MAX);
        }
        if open.answers.is_empty() {
            *asked = None;
            return None;
        }
        Some(open.at.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_that_does_not_serve_says_why() {
        let reasons = |phase| {
            unready(phase, None)
                .into_iter()
                .map(|found| found.reason)
                .collect::<Vec<_>>()
        };
        assert_eq!(reasons(Phase::Starting), ["starting"]);
        assert_eq!(reasons(Phase::Stopping), ["stopping"]);
        let serving = |leader, connected| unready_while_serving(leader, connected).len();
        assert_eq!(
            (serving(true, true), serving(false, true), serving(false, false)),
            (0, 1, 2)
        );
    }

    #[test]
    fn a_verdict_is_good_without_reasons_and_names_them_otherwise() {
        let good = Verdict::of("ready", "not ready", Vec::new());
        assert_eq!(
            serde_json::to_string(&good).unwrap(),
            r#"{"status":"ready","reasons":[]}"#
        );
        let bad = Verdict::of("ready", "not ready", unready(Phase::Stopping, None));
        assert!(!bad.is_good());
        assert_eq!(
            serde_json::to_string(&bad).unwrap(),
            r#"{"status":"not ready","reasons":[{"reason":"stopping","detail":"the broker is stopping"}]}"#
        );
    }

    #[test]
    fn one_question_is_asked_until_it_is_answered() {
        let probe = AppenderProbe::default();
        let (sender, receiver) = oneshot::channel();
        let (other, second) = oneshot::channel();
        assert!(probe.silence(|| vec![receiver, second]).is_some());
        assert!(
            probe
                .silence(|| unreachable!("a question is under way"))
                .is_some()
        );
        sender.send(()).unwrap();
        assert!(
            probe
                .silence(|| unreachable!("another one has not answered"))
                .is_some()
        );
        other.send(()).unwrap();
        assert_eq!(probe.silence(|| unreachable!("a question is under way")), None);
        let (gone, receiver) = oneshot::channel();
        drop(gone);
        assert_eq!(probe.silence(|| vec![receiver]), Some(Duration::MAX));
    }
}
