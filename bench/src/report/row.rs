//! One work on one server.

use serde::Serialize;

use crate::limits::Limits;
use crate::work::{Measured, Part, Work};

/// Figures of one work on one server, in base units: seconds, bytes.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The word for the work on the command line.
    pub work: &'static str,
    /// What was done.
    pub description: &'static str,
    /// The server, with the storage engine if one was asked for.
    pub server: String,
    /// Messages, or streams and partitions.
    pub count: u64,
    /// Of these a second; none when it says nothing.
    pub per_second: Option<f64>,
    /// Half of the messages took no longer from publish to ack, or to receipt.
    pub p50: Option<f64>,
    /// 99 of 100 took no longer.
    pub p99: Option<f64>,
    /// 999 of 1,000 took no longer.
    pub p999: Option<f64>,
    /// CPU time of the server for one message.
    pub server_cpu: Option<f64>,
    /// CPU time of the clients for one message.
    pub client_cpu: Option<f64>,
    /// Most memory of the server meanwhile; after works that end idle, the memory then.
    pub memory: Option<u64>,
    /// Share of a core that the idle server used.
    pub idle: Option<f64>,
    /// From the start of a killed server's successor to its first ack.
    pub first_ack: Option<f64>,
    /// Half of the messages took no longer while nobody else kept the server busy.
    pub alone_p50: Option<f64>,
    /// 99 of 100 took no longer then.
    pub alone_p99: Option<f64>,
    /// The course of a long run; empty for others.
    pub course: Vec<Part>,
    /// The limit of the machine that the work is compared with, and how many times as much this is.
    pub share: Option<Share>,
    /// Why there are no figures.
    pub problem: Option<String>,
}

/// A figure as a multiple of another.
#[derive(Clone, Debug, Serialize)]
pub struct Share {
    /// The other.
    pub of: String,
    /// How many times as much.
    pub times: f64,
}

impl Row {
    pub(crate) fn new(work: Work, server: &str, measured: &Measured, limits: Option<&Limits>) -> Self {
        let within = |share| measured.latency.within(share).map(|time| time.as_secs_f64());
        let alone = |share| Some(measured.alone.as_ref()?.within(share)?.as_secs_f64());
        let seconds = measured.spent.time.as_secs_f64();
        let count = measured.count as f64;
        let per_message = |seconds: f64| (measured.count > 0).then(|| seconds / count);
        let has_rate = !matches!(work, Work::Tail | Work::Idle | Work::Restart);
        let mut row = Self {
            count: measured.count,
            per_second: has_rate.then(|| count / seconds),
            p50: within(0.5),
            p99: within(0.99),
            p999: within(0.999),
            server_cpu: measured
                .spent
                .server_cpu
                .and_then(|cpu| per_message(cpu.as_secs_f64())),
            client_cpu: per_message(measured.spent.own_cpu.as_secs_f64()),
            memory: measured.spent.peak_memory,
            idle: measured.idle,
            first_ack: measured.first_ack.map(|time| time.as_secs_f64()),
            alone_p50: alone(0.5),
            alone_p99: alone(0.99),
            course: measured.course.clone(),
            ..Self::empty(work, server)
        };
        row.share = limits.and_then(|limits| row.share(work, limits));
        row
    }

    /// A work that has no figures on a server.
    pub(crate) fn failed(work: Work, server: &str, problem: String) -> Self {
        Self {
            problem: Some(problem),
            ..Self::empty(work, server)
        }
    }

    fn empty(work: Work, server: &str) -> Self {
        Self {
            work: work.name(),
            description: work.describe(),
            server: server.to_owned(),
            count: 0,
            per_second: None,
            p50: None,
            p99: None,
            p999: None,
            server_cpu: None,
            client_cpu: None,
            memory: None,
            idle: None,
            first_ack: None,
            alone_p50: None,
            alone_p99: None,
            course: Vec::new(),
            share: None,
            problem: None,
        }
    }

    fn share(&self, work: Work, limits: &Limits) -> Option<Share> {
        let (of, times) = match work {
            Work::Publish | Work::PublishOne | Work::NatsAcks | Work::Spread => (
                "a bare tonic stream both ways",
                self.per_second? / limits.bidirectional,
            ),
            Work::Replay | Work::ReplayFour => (
                "a bare tonic server stream",
                self.per_second? / limits.server_stream,
            ),
            Work::WindowOne => (
                "p99 of a bare 4 KiB append + fdatasync",
                self.p99? / limits.append(4 << 10)?.p99,
            ),
            _ => return None,
        };
        Some(Share {
            of: of.to_owned(),
            times,
        })
    }
}
