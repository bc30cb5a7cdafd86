//! Signals: the first one asks for a graceful stop, the second one does not wait for it.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::{Exit, Failure};

/// The signals that a broker listens to. Made before the broker starts, so that none is lost.
#[derive(Debug)]
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
    leave: Signal,
}

/// What the process is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// To stop.
    Stop,
    /// To send NATS clients away one by one, and stop then.
    Leave,
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
            leave: listen(SignalKind::user_defined2())?,
        })
    }

    /// Waits until the process is asked to end in either way: SIGUSR2 is what puts a nats-server into lame duck mode too.
    ///
    /// Cancel safety: no signal is lost.
    pub(super) async fn asked(&mut self) -> Asked {
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => return Asked::Stop,
                _ = self.terminate.recv() => return Asked::Stop,
                _ = self.leave.recv() => return Asked::Leave,
                _ = self.hang_up.recv() => warn_of_hang_up(),
            }
        }
    }

    /// Waits until the process is asked to stop, and says which exit code an immediate end has.
    ///
    /// Cancel safety: no signal is lost.
    pub(super) async fn stop(&mut self) -> Exit {
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => return Exit::Interrupted,
                _ = self.terminate.recv() => return Exit::Terminated,
                _ = self.hang_up.recv() => warn_of_hang_up(),
            }
        }
    }
}

fn warn_of_hang_up() {
    tracing::info!("settings are read at start only: SIGHUP changes nothing, restart the broker instead");
}
