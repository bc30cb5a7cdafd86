//! Partitions whose turn at the archive somebody waits for.

use parking_lot::Mutex;
use tokio::sync::Notify;

use strandline_core::LogId;

/// Whose turn is to come at once.
#[derive(Debug, Default)]
pub(super) struct Hurry {
    logs: Mutex<Vec<LogId>>,
    asked: Notify,
}

impl Hurry {
    /// Asks for a turn of this partition.
    pub(super) fn ask(&self, log: LogId) {
        let mut logs = self.logs.lock();
        if !logs.contains(&log) {
            logs.push(log);
        }
        drop(logs);
        self.asked.notify_one();
    }

    /// Who was asked for since the last call.
    pub(super) fn take(&self) -> Vec<LogId> {
        std::mem::take(&mut *self.logs.lock())
    }

    /// Resolves when somebody was asked for. Can be cancelled at any time.
    pub(super) async fn asked(&self) {
        self.asked.notified().await;
    }
}
