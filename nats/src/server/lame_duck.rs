//! Leaving gently.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::sleep;

use super::shared::Shared;
use crate::connection::{CloseReason, Connection};

/// The longest pause between two clients.
const LONGEST_GAP: Duration = Duration::from_secs(1);
/// Shorter pauses are not kept by timers: clients are closed in groups instead.
const SHORTEST_GAP: Duration = Duration::from_millis(1);

/// Accepts nobody any more, tells the clients to go elsewhere, then closes them one by one. False: somebody else does that
/// already, or the server was stopped meanwhile.
pub(super) async fn leave(shared: &Arc<Shared>) -> bool {
    if shared.info.lame_duck.swap(true, Ordering::AcqRel) {
        return false;
    }
    shared.closing.cancel();
    if shared.connections.lock().is_empty() {
        return true;
    }
    shared.announce();
    let left = async {
        sleep(shared.limits.lame_duck_grace).await;
        close_one_by_one(shared).await;
    };
    tokio::select! {
        () = left => true,
        () = shared.stop.cancelled() => false,
    }
}

async fn close_one_by_one(shared: &Shared) {
    let connections: Vec<Arc<Connection>> = shared.connections.lock().values().cloned().collect();
    let span = shared
        .limits
        .lame_duck_duration
        .saturating_sub(shared.limits.lame_duck_grace);
    let (gap, group) = pace(span, connections.len());
    for members in connections.chunks(group) {
        members
            .iter()
            .for_each(|connection| connection.close(CloseReason::Shutdown));
        sleep(gap.mul_f64(0.5 + 0.5 * random_fraction())).await;
    }
}

/// The pause between groups, and how many clients are in one.
fn pace(span: Duration, clients: usize) -> (Duration, usize) {
    let clients = u32::try_from(clients).unwrap_or(u32::MAX).max(1);
    let gap = (span / clients).min(LONGEST_GAP);
    if gap >= SHORTEST_GAP {
        return (gap, 1);
    }
    let groups = u32::try_from(span.as_millis()).unwrap_or(u32::MAX).max(1);
    (
        SHORTEST_GAP,
        usize::try_from(clients.div_ceil(groups)).unwrap_or(usize::MAX),
    )
}

fn random_fraction() -> f64 {
    let mut byte = [0];
    let _ = getrandom::fill(&mut byte); // Only spreads reconnects.
    f64::from(byte[0]) / f64::from(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_clients_leave_a_second_apart_and_many_in_groups() {
        let span = Duration::from_secs(110);
        assert_eq!(pace(span, 1), (LONGEST_GAP, 1));
        assert_eq!(pace(span, 1000), (Duration::from_millis(110), 1));
        assert_eq!(pace(span, 1_100_000), (SHORTEST_GAP, 10));
        assert_eq!(pace(Duration::ZERO, 500), (SHORTEST_GAP, 500));
        assert_eq!(pace(span, 0), (LONGEST_GAP, 1));
    }
}
