//! What the kernel says of a process, from `/proc`.

use std::fs;
use std::time::Duration;

use rustix::param::clock_ticks_per_second;

/// A process of this machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process {
    pid: u32,
}

impl Process {
    pub(crate) fn new(pid: u32) -> Self {
        Self { pid }
    }

    /// User and system time so far.
    pub(crate) fn cpu(self) -> Option<Duration> {
        cpu_of(&self.read("stat")?, clock_ticks_per_second())
    }

    /// Bytes of memory in use.
    pub(crate) fn memory(self) -> Option<u64> {
        kilobytes(&self.read("status")?, "VmRSS:")
    }

    /// Most bytes of memory in use since [`Process::forget_peak`].
    pub(crate) fn peak_memory(self) -> Option<u64> {
        kilobytes(&self.read("status")?, "VmHWM:")
    }

    /// Lets the peak begin anew. Without the right to do so it stays that of the whole process.
    pub(crate) fn forget_peak(self) {
        let _ = fs::write(format!("/proc/{}/clear_refs", self.pid), "5");
    }

    fn read(self, file: &str) -> Option<String> {
        fs::read_to_string(format!("/proc/{}/{file}", self.pid)).ok()
    }
}

/// The name in the second field may hold anything, so fields are counted from behind it.
fn cpu_of(stat: &str, ticks_per_second: u64) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let ticks = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(Duration::from_secs_f64(
        ticks as f64 / ticks_per_second.max(1) as f64,
    ))
}

fn kilobytes(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim()
        .strip_suffix(" kB")?
        .parse::<u64>()
        .ok()
        .map(|kilobytes| kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_behind_a_name_with_blanks_and_brackets() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 4 0 100";
        assert_eq!(cpu_of(stat, 100), Some(Duration::from_secs(3)));
        assert_eq!(cpu_of("7 nothing", 100), None);
    }

    #[test]
    fn memory_is_read_in_bytes() {
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        assert_eq!(kilobytes(status, "VmRSS:"), Some(1 << 20));
        assert_eq!(kilobytes(status, "VmSwap:"), None);
    }

    #[test]
    fn this_process_has_figures() {
        let process = Process::new(std::process::id());
        assert!(process.cpu().is_some() && process.memory().unwrap() > 1 << 20);
        assert!(process.peak_memory().unwrap() > 1 << 20);
        assert!(Process::new(u32::MAX).cpu().is_none());
    }
}
