//! Slows down those who guess passwords.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use parking_lot::Mutex;

use super::network::network_of;

/// Refusals of one address that cost nothing: typing errors, and a restarted service with an old password.
const FREE: u32 = 10;
/// An address that was refused more often waits this long for each further answer.
const PENALTY: Duration = Duration::from_secs(1);
/// After this time without a refusal, an address is forgotten.
const MEMORY: Duration = Duration::from_secs(60);
/// Addresses remembered; beyond it, forgotten ones make room, or else all do.
const MAX_ADDRESSES: usize = 10_000;

/// Refused credentials by address.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    by_address: Mutex<HashMap<IpAddr, (u32, Instant)>>,
}

impl Refusals {
    /// Notes one; returns how long the answer is held back.
    pub(super) fn note(&self, address: IpAddr, now: Instant) -> Duration {
        let mut by_address = self.by_address.lock();
        if by_address.len() >= MAX_ADDRESSES {
            by_address.retain(|_, (_, last)| now.duration_since(*last) < MEMORY);
        }
        if by_address.len() >= MAX_ADDRESSES {
            by_address.clear();
        }
        let (count, last) = by_address.entry(network_of(address)).or_insert((0, now));
        if now.duration_since(*last) >= MEMORY {
            *count = 0;
        }
        *count = count.saturating_add(1);
        *last = now;
        if *count > FREE { PENALTY } else { Duration::ZERO }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guessing_becomes_slow_and_is_forgiven_after_a_while() {
        let (refusals, now) = (Refusals::default(), Instant::now());
        let (guesser, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        for _ in 0..FREE {
            assert_eq!(refusals.note(guesser, now), Duration::ZERO);
        }
        assert_eq!(refusals.note(guesser, now), PENALTY);
        assert_eq!(refusals.note(other, now), Duration::ZERO);
        assert_eq!(refusals.note(guesser, now + MEMORY), Duration::ZERO);
    }

    #[test]
    fn memory_is_bounded() {
        let refusals = Refusals::default();
        for number in 0..u32::try_from(2 * MAX_ADDRESSES).unwrap() {
            refusals.note(IpAddr::from(number.to_be_bytes()), Instant::now());
        }
        assert!(refusals.by_address.lock().len() <= MAX_ADDRESSES);
    }
}
