//! Names that nobody else draws.

use strandline_core::Clock;

/// 16 random hexadecimal digits. Without randomness the time is as good: they only have to differ from those of other processes.
pub(crate) fn nonce(clock: &dyn Clock) -> String {
    let mut bytes = [0; 8];
    if getrandom::fill(&mut bytes).is_err() {
        bytes = clock.now().nanos().to_le_bytes();
    }
    format!("{:016x}", u64::from_le_bytes(bytes))
}
