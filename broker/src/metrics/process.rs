//! What the operating system says about this process; read when somebody asks.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Linux counts the times that it shows to programs in hundredths of a second, whatever its own tick is.
const TICKS_PER_SECOND: f64 = 100.0;

/// Facts about the process. What cannot be read is none: the number is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct ProcessNumbers {
    pub(crate) cpu_seconds: Option<f64>,
    pub(crate) resident_bytes: Option<u64>,
    pub(crate) virtual_bytes: Option<u64>,
    pub(crate) threads: Option<u64>,
    pub(crate) open_files: Option<u64>,
    /// The soft limit; none also when there is no limit.
    pub(crate) max_open_files: Option<u64>,
}

impl ProcessNumbers {
    /// Reads them. Blocks on `/proc`, which is memory.
    pub(crate) fn read() -> Self {
        let read = |name: &str| fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
        let (stat, status, limits) = (read("stat"), read("status"), read("limits"));
        let open_files = fs::read_dir("/proc/self/fd").ok().map(Iterator::count);
        Self {
            cpu_seconds: cpu_seconds(&stat),
            resident_bytes: kibibytes(&status, "VmRSS:"),
            virtual_bytes: kibibytes(&status, "VmSize:"),
            threads: field(&status, "Threads:").and_then(|text| text.parse().ok()),
            // One of them was open for the counting.
            open_files: open_files.map(|files| files.saturating_sub(1) as u64),
            max_open_files: max_open_files(&limits),
        }
    }
}

/// The wall clock's time in seconds, for the start of the process.
pub(crate) fn unix_seconds(time: SystemTime) -> f64 {
    let since: Duration = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis() as f64 / 1000.0
}

fn cpu_seconds(stat: &str) -> Option<f64> {
    // The name of the program stands in parentheses and may hold anything; user and system time are the 14th and 15th.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user.saturating_add(system) as f64 / TICKS_PER_SECOND)
}

fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status
        .lines()
        .find_map(|line| Some(line.strip_prefix(name)?.trim()))
}

fn kibibytes(status: &str, name: &str) -> Option<u64> {
    let number: u64 = field(status, name)?.strip_suffix(" kB")?.parse().ok()?;
    number.checked_mul(1024)
}

fn max_open_files(limits: &str) -> Option<u64> {
    let line = field(limits, "Max open files")?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_program_does_not_shift_the_fields() {
        let stat = "7 (a) b ) S 1 7 7 0 -1 4194560 9 0 0 0 150 50 0 0 20 0 4 0 100 1 2";
        assert_eq!(cpu_seconds(stat), Some(2.0));
        assert_eq!(cpu_seconds(""), None);
        assert_eq!(cpu_seconds("7 (a) S 1"), None);
    }

    #[test]
    fn sizes_and_limits_are_found() {
        let status = "Name:\ta\nVmSize:\t    2048 kB\nVmRSS:\t 1024 kB\nThreads:\t7\n";
        assert_eq!(kibibytes(status, "VmRSS:"), Some(1 << 20));
        assert_eq!(field(status, "Threads:"), Some("7"));
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max open files            1024                 524288               files     \n";
        assert_eq!(max_open_files(limits), Some(1024));
        assert_eq!(max_open_files("Max open files  unlimited unlimited files"), None);
    }

    #[test]
    fn this_process_has_all_of_it() {
        let numbers = ProcessNumbers::read();
        assert!(
            numbers.resident_bytes > Some(0) && numbers.threads > Some(0) && numbers.open_files > Some(0)
        );
        assert!(numbers.cpu_seconds.is_some() && numbers.virtual_bytes >= numbers.resident_bytes);
    }
}
