//! Signals: the first one asks for a graceful stop, the second one does not wait for it.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::{Exit, Failure};

/// The signals that a broker listens to. Made before the broker starts, so that none is lost.
#[derive(Debug)]
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Signals {
    /// Begins to listen.
    pub(super) fn new() -> Result<Self, Failure> {
        let listen =
            |kind| signal(kind).map_err(|error| Failure::new(format!("cannot listen for signals: {error}")));
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    /// Waits until the process is asked to stop, and says which exit code an immediate end has.
    ///
    /// Cancel safety: no signal is lost.
    pub(super) async fn stop(&mut self) -> Exit {
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => return Exit::Interrupted,
                _ = self.terminate.recv() => return Exit::Terminated,
                _ = self.hang_up.recv() => {
                    tracing::info!("settings are read at start only: SIGHUP changes nothing, restart the broker instead");
                }
            }
        }
    }
}
