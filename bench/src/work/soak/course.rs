//! How a long run went on.

use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::figures::Process;

/// Parts of a run are no longer than this,
const PART_MAX: Duration = Duration::from_secs(60);
/// and a run has at least so many.
const PARTS_MIN: u32 = 10;

/// A part of a run, a minute unless the whole run is short.
#[derive(Clone, Debug, Serialize)]
pub struct Part {
    /// When it ended, in seconds since the begin of the run.
    pub end: f64,
    /// Messages a second that were acked in it.
    pub per_second: f64,
    /// Memory of the server: least, median and most, in bytes; none if the server is no process of this machine.
    pub memory: Option<[u64; 3]>,
    /// Bytes of the server's files at its end; none if they are not this program's to look at.
    pub stored: Option<u64>,
}

/// Makes parts of samples.
#[derive(Debug)]
pub(super) struct Course {
    length: Duration,
    start: Instant,
    begun: Instant,
    acked: u64,
    memory: Vec<u64>,
    pub(super) parts: Vec<Part>,
}

impl Course {
    /// Begins a run that is to take so long.
    pub(super) fn begin(run: Duration) -> Self {
        let now = Instant::now();
        Self {
            length: PART_MAX.min(run / PARTS_MIN),
            start: now,
            begun: now,
            acked: 0,
            memory: Vec::new(),
            parts: Vec::new(),
        }
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Notes the server's memory now, and ends the part if it has lasted long enough; true if it has.
    pub(super) fn sample(&mut self, server: Option<Process>, files: Option<&Path>, acked: u64) -> bool {
        let is_over = self.begun.elapsed() >= self.length;
        if is_over {
            self.end_part(server, files, acked);
        } else {
            self.memory.extend(server.and_then(Process::memory));
        }
        is_over
    }

    /// Ends the part with a last look at the server's memory, so that the shortest part has one.
    pub(super) fn end_part(&mut self, server: Option<Process>, files: Option<&Path>, acked: u64) {
        self.memory.extend(server.and_then(Process::memory));
        let seconds = self.begun.elapsed().as_secs_f64();
        self.memory.sort_unstable();
        let at = |place: usize| self.memory.get(place).copied();
        let (last, middle) = (self.memory.len().saturating_sub(1), self.memory.len() / 2);
        let memory = match (at(0), at(middle), at(last)) {
            (Some(least), Some(median), Some(most)) => Some([least, median, most]),
            _ => None,
        };
        self.parts.push(Part {
            end: self.start.elapsed().as_secs_f64(),
            per_second: (acked - self.acked) as f64 / seconds.max(f64::MIN_POSITIVE),
            memory,
            stored: files.map(bytes_in),
        });
        (self.begun, self.acked) = (Instant::now(), acked);
        self.memory.clear();
    }
}

/// Bytes of the files below a directory. What goes away meanwhile does not count.
fn bytes_in(directory: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return 0;
    };
    let bytes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_in(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    });
    bytes.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_has_the_least_the_median_and_the_most_of_its_samples() {
        let mut course = Course::begin(Duration::from_secs(3600));
        course.memory = vec![5, 1, 9, 3, 7];
        course.end_part(None, None, 100);
        course.end_part(None, None, 100);
        assert_eq!(course.parts[0].memory, Some([1, 5, 9]));
        assert!(course.parts[0].per_second > 0.0);
        assert_eq!((course.parts[1].memory, course.parts[1].per_second), (None, 0.0));
        assert!(!course.sample(None, None, 100), "a minute has not passed");
    }

    /// The last part begins when the time of the run is over, and ends when the last acks are there. A test on a busy
    /// machine found it without memory, because nobody had looked meanwhile.
    #[test]
    fn a_part_that_ends_as_soon_as_it_begins_has_a_sample() {
        let mut course = Course::begin(Duration::from_secs(3600));
        course.end_part(Some(Process::new(std::process::id())), None, 0);
        assert!(
            course.parts[0]
                .memory
                .is_some_and(|[least, _, most]| 0 < least && least == most)
        );
    }

    #[test]
    fn files_in_directories_below_count() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("below")).unwrap();
        std::fs::write(directory.path().join("below/a"), [0; 300]).unwrap();
        std::fs::write(directory.path().join("b"), [0; 40]).unwrap();
        assert_eq!(bytes_in(directory.path()), 340);
    }
}
