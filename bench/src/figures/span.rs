//! What a piece of work cost.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::Process;

/// Begun when the work begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    server: Option<Process>,
    server_cpu: Option<Duration>,
    own_cpu: Duration,
    start: Instant,
}

/// What was spent from begin to end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spent {
    pub(crate) time: Duration,
    /// CPU time of the server, when it is a process of this machine.
    pub(crate) server_cpu: Option<Duration>,
    /// CPU time of this process: the clients.
    pub(crate) own_cpu: Duration,
    /// Most memory that the server has used meanwhile, in bytes.
    pub(crate) peak_memory: Option<u64>,
}

impl Span {
    pub(crate) fn begin(server: Option<Process>) -> Self {
        if let Some(server) = server {
            server.forget_peak();
        }
        Self {
            server,
            server_cpu: server.and_then(Process::cpu),
            own_cpu: own_cpu(),
            start: Instant::now(),
        }
    }

    pub(crate) fn started(&self) -> Instant {
        self.start
    }

    pub(crate) fn end(self) -> Spent {
        let time = self.start.elapsed();
        let server_cpu = self.server.and_then(Process::cpu).zip(self.server_cpu);
        Spent {
            time,
            server_cpu: server_cpu.map(|(now, then)| now.saturating_sub(then)),
            own_cpu: own_cpu().saturating_sub(self.own_cpu),
            peak_memory: self.server.and_then(Process::peak_memory),
        }
    }
}

fn own_cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanos = u32::try_from(time.tv_nsec).unwrap_or_default();
    Duration::new(seconds, nanos)
}
