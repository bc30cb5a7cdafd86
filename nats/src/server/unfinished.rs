//! Memory for operations whose end has not arrived.

use std::net::IpAddr;
use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::network::network_of;
use crate::connection::ALLOWANCE_UNIT;

/// Bytes for all clients together, unless a few payloads of the largest size need more.
const ALL_BYTES: usize = 256 * 1024 * 1024;
/// Payloads of the largest size that fit in any case.
const ALL_PAYLOADS: usize = 4;
/// Their lines included, the longest of which are those with long subjects.
const LINE: usize = 64 * 1024;
/// The clients of one network get this part of it at most, so that a single host cannot take what all others need.
const NETWORK_PART: usize = 2;

/// What unfinished operations may hold, together and by network.
#[derive(Debug)]
pub(crate) struct Unfinished {
    all: Arc<Semaphore>,
    units: usize,
    per_network: usize,
    /// Networks that hold or want something.
    by_network: Arc<Mutex<HashMap<IpAddr, Arc<Semaphore>>>>,
}

/// Memory that a client may fill; given back when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    units: u32,
    permits: Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)>,
    _membership: Membership,
}

/// Forgets a network that nobody needs any more.
#[derive(Debug)]
struct Membership {
    network: IpAddr,
    allowance: Arc<Semaphore>,
    by_network: Arc<Mutex<HashMap<IpAddr, Arc<Semaphore>>>>,
}

impl Unfinished {
    /// Room for payloads of up to `max_payload` bytes.
    pub(super) fn new(max_payload: usize) -> Self {
        let all =
            ALL_BYTES.max(max_payload.saturating_add(LINE).saturating_mul(ALL_PAYLOADS)) / ALLOWANCE_UNIT;
        Self::with_units(all.min(Semaphore::MAX_PERMITS))
    }

    fn with_units(all: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(all)),
            units: all,
            per_network: all / NETWORK_PART,
            by_network: Arc::default(),
        }
    }

    /// Waits until there is room for `units` of [`ALLOWANCE_UNIT`]. Cancel safe: nothing is held unless it returns.
    pub(crate) async fn reserve(&self, address: IpAddr, units: u32) -> Option<Share> {
        let membership = self.join(network_of(address));
        // The network's first: who waits for it holds nothing that others could use.
        let of_network = Arc::clone(&membership.allowance).acquire_many_owned(units).await;
        let of_all = Arc::clone(&self.all).acquire_many_owned(units).await;
        Some(Share {
            units,
            permits: Some((of_network.ok()?, of_all.ok()?)),
            _membership: membership,
        })
    }

    /// Bytes that are set aside now, and most of them.
    pub(super) fn bytes(&self) -> (usize, usize) {
        let held = self.units.saturating_sub(self.all.available_permits());
        (held * ALLOWANCE_UNIT, self.units * ALLOWANCE_UNIT)
    }

    fn join(&self, network: IpAddr) -> Membership {
        let new = || Arc::new(Semaphore::new(self.per_network));
        let allowance = Arc::clone(self.by_network.lock().entry(network).or_insert_with(new));
        Membership {
            network,
            allowance,
            by_network: Arc::clone(&self.by_network),
        }
    }
}

impl Share {
    /// How much it is, in [`ALLOWANCE_UNIT`]s.
    pub(crate) fn units(&self) -> u32 {
        self.units
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.permits = None; // A permit holds on to the network's allowance, which the membership looks at.
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let mut by_network = self.by_network.lock();
        // This one and the map's: under the lock nobody else can come to have it.
        if Arc::strong_count(&self.allowance) <= 2 {
            by_network.remove(&self.network);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const TWO: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));
    const THREE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 3));

    async fn is_held_back(unfinished: &Unfinished, address: IpAddr, units: u32) -> bool {
        timeout(Duration::from_millis(1), unfinished.reserve(address, units))
            .await
            .is_err()
    }

    #[tokio::test(start_paused = true)]
    async fn one_network_cannot_take_what_others_need() {
        let unfinished = Unfinished::with_units(100);
        let held = unfinished.reserve(ONE, 50).await.unwrap();
        assert!(is_held_back(&unfinished, ONE, 1).await);
        let others = unfinished.reserve(TWO, 50).await.unwrap();
        assert_eq!((held.units(), others.units()), (50, 50));
        assert_eq!(unfinished.bytes(), (100 * ALLOWANCE_UNIT, 100 * ALLOWANCE_UNIT));
        assert!(is_held_back(&unfinished, THREE, 1).await, "nothing is left");
        drop(held);
        assert!(unfinished.reserve(ONE, 50).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn networks_without_unfinished_payloads_are_forgotten() {
        let unfinished = Unfinished::with_units(100);
        let (first, second) = (
            unfinished.reserve(ONE, 10).await.unwrap(),
            unfinished.reserve(ONE, 10).await.unwrap(),
        );
        assert!(is_held_back(&unfinished, ONE, 31).await);
        assert_eq!(unfinished.by_network.lock().len(), 1);
        drop(first);
        assert_eq!(unfinished.by_network.lock().len(), 1);
        drop(second);
        assert!(unfinished.by_network.lock().is_empty());
    }

    #[test]
    fn a_few_of_the_largest_payloads_always_fit() {
        let largest = 1 << 30;
        let unfinished = Unfinished::new(largest);
        assert!(unfinished.per_network * ALLOWANCE_UNIT >= 2 * (largest + LINE));
        assert_eq!(
            Unfinished::new(1 << 20).all.available_permits() * ALLOWANCE_UNIT,
            ALL_BYTES
        );
    }
}
