//! Numbers as people read them.

/// A rate: 1.98 M/s, 311 k/s.
pub(crate) fn rate(per_second: f64) -> String {
    match per_second {
        rate if rate >= 999_500.0 => format!("{:.2} M/s", rate / 1e6),
        rate if rate >= 9_995.0 => format!("{:.0} k/s", rate / 1e3),
        rate if rate >= 999.5 => format!("{:.1} k/s", rate / 1e3),
        rate => format!("{rate:.0}/s"),
    }
}

/// A time: 850 ns, 1.20 us, 3.4 ms, 1.8 s.
pub(crate) fn time(seconds: f64) -> String {
    match seconds {
        time if time < 0.999_5e-6 => format!("{:.0} ns", time * 1e9),
        time if time < 99.95e-6 => format!("{:.1} us", time * 1e6),
        time if time < 0.999_5e-3 => format!("{:.0} us", time * 1e6),
        time if time < 99.95e-3 => format!("{:.1} ms", time * 1e3),
        time if time < 0.999_5 => format!("{:.0} ms", time * 1e3),
        time => format!("{time:.1} s"),
    }
}

/// CPU time of one message, always in microseconds.
pub(crate) fn micros(seconds: f64) -> String {
    format!("{:.2}", seconds * 1e6)
}

/// Memory and sizes: 40 MiB.
pub(crate) fn bytes(bytes: u64) -> String {
    match bytes {
        bytes if bytes >= 10 << 20 => format!("{} MiB", bytes >> 20),
        bytes if bytes >= 1 << 20 => format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)),
        bytes if bytes >= 1 << 10 => format!("{} KiB", bytes >> 10),
        bytes => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_change_their_unit_where_they_would_get_long() {
        let rates = [12.0, 1500.0, 311_000.0, 999_600.0].map(rate);
        assert_eq!(rates, ["12/s", "1.5 k/s", "311 k/s", "1.00 M/s"]);
        let times = [3.4e-7, 5.5e-6, 187e-6, 3.42e-3, 0.4, 1.84].map(time);
        assert_eq!(times, ["340 ns", "5.5 us", "187 us", "3.4 ms", "400 ms", "1.8 s"]);
        assert_eq!(micros(0.604e-6), "0.60");
        assert_eq!(
            [100, 4096, 1 << 20, 64 << 20].map(bytes),
            ["100 B", "4 KiB", "1.0 MiB", "64 MiB"]
        );
    }
}
