//! A line on the error output, if that is a terminal, that says how far a long work is.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// How often the line is written anew.
const INTERVAL: Duration = Duration::from_millis(100);
/// Characters of the bar.
const BAR: u64 = 30;

/// The line. It is wiped when this is dropped.
#[derive(Debug)]
pub(crate) struct Progress {
    is_watched: bool,
    began: Instant,
    shown: Option<Instant>,
}

impl Progress {
    /// Nothing is shown yet.
    pub(crate) fn new() -> Self {
        Self {
            is_watched: std::io::stderr().is_terminal(),
            began: Instant::now(),
            shown: None,
        }
    }

    /// So many bytes of them all are done.
    pub(crate) fn show(&mut self, done: u64, total: u64) {
        let took = self.began.elapsed();
        self.write(|| line(done, total, took));
    }

    /// So many of these things are done.
    pub(crate) fn show_count(&mut self, done: u64, total: u64, things: &str) {
        self.write(|| count_line(done, total, things));
    }

    fn write(&mut self, line: impl FnOnce() -> String) {
        let is_due = self.shown.is_none_or(|shown| shown.elapsed() >= INTERVAL);
        if self.is_watched && is_due {
            self.shown = Some(Instant::now());
            // Nobody is harmed if it cannot be shown.
            let _ = write!(std::io::stderr(), "\r\x1b[K{}", line());
        }
    }

    /// Takes the line away, so that something else can be written.
    pub(crate) fn wipe(&mut self) {
        if self.shown.take().is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.wipe();
    }
}

fn count_line(done: u64, total: u64, things: &str) -> String {
    let filled = u128::from(done) * u128::from(BAR) / u128::from(total.max(1));
    let filled = usize::try_from(filled).unwrap_or_default();
    let empty = (BAR as usize).saturating_sub(filled);
    format!(
        "[{}{}] {done} of {total} {things}",
        "#".repeat(filled),
        "-".repeat(empty)
    )
}

fn line(done: u64, total: u64, took: Duration) -> String {
    let share = |of: u64| u128::from(done) * u128::from(of) / u128::from(total.max(1));
    let filled = usize::try_from(share(BAR)).unwrap_or_default();
    let empty = (BAR as usize).saturating_sub(filled);
    let rate = (u128::from(done) >> 20) * 1_000 / took.as_millis().max(1);
    format!(
        "[{}{}] {:>3} %  {} of {} MiB  {rate} MiB/s",
        "#".repeat(filled),
        "-".repeat(empty),
        share(100),
        done >> 20,
        total >> 20
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_how_much_is_done_and_how_fast() {
        let text = line(512 << 20, 1 << 30, Duration::from_secs(2));
        assert_eq!(
            text,
            "[###############---------------]  50 %  512 of 1024 MiB  256 MiB/s"
        );
        assert!(line(0, 0, Duration::ZERO).contains("0 of 0 MiB"));
        assert!(line(u64::MAX, u64::MAX, Duration::from_secs(1)).contains("100 %"));
    }
}
