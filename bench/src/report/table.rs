//! The report for people.

use std::fmt;

use super::{Report, Row, units};
use crate::limits::Limits;

const HEAD: [&str; 9] = [
    "work",
    "server",
    "rate",
    "p50",
    "p99",
    "p99.9",
    "server us",
    "client us",
    "memory",
];

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(limits) = &self.limits {
            write_limits(f, limits)?;
        }
        if !self.archive.is_empty() {
            super::archive::write(f, &self.archive)?;
        }
        if self.rows.is_empty() {
            return Ok(());
        }
        writeln!(
            f,
            "messages of {} bytes; us = CPU time for one message",
            self.value_bytes
        )?;
        let cells: Vec<[String; 9]> = std::iter::once(HEAD.map(str::to_owned))
            .chain(self.rows.iter().map(cells))
            .collect();
        let mut widths = [0; 9];
        for row in &cells {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        for (index, row) in cells.iter().enumerate() {
            let row = row.iter().zip(widths).enumerate().map(|(column, (cell, width))| {
                if column < 2 {
                    format!("{cell:<width$}")
                } else {
                    format!("{cell:>width$}")
                }
            });
            let line = row.collect::<Vec<_>>().join("  ");
            let notes = index
                .checked_sub(1)
                .and_then(|index| self.rows.get(index))
                .map(|row| self.notes(row));
            writeln!(
                f,
                "{}",
                format!("{line}  {}", notes.unwrap_or_default()).trim_end()
            )?;
        }
        self.rows.iter().try_for_each(|row| write_course(f, row))
    }
}

fn write_course(f: &mut fmt::Formatter<'_>, row: &Row) -> fmt::Result {
    if row.course.is_empty() {
        return Ok(());
    }
    writeln!(f, "\n{}: memory least, median, most; files", row.description)?;
    for part in &row.course {
        let rate = units::rate(part.per_second);
        write!(f, "  to {:>6.0} s  {rate:>9}", part.end)?;
        for memory in part.memory.iter().flatten() {
            write!(f, "  {:>8}", units::bytes(*memory))?;
        }
        if let Some(stored) = part.stored {
            write!(f, "  {:>9}", units::bytes(stored))?;
        }
        writeln!(f)?;
    }
    Ok(())
}

fn write_limits(f: &mut fmt::Formatter<'_>, limits: &Limits) -> fmt::Result {
    writeln!(f, "what this machine does without a server of ours")?;
    writeln!(
        f,
        "  bare tonic stream both ways   {}",
        units::rate(limits.bidirectional)
    )?;
    writeln!(
        f,
        "  bare tonic server stream      {}",
        units::rate(limits.server_stream)
    )?;
    for append in &limits.appends {
        writeln!(
            f,
            "  append + fdatasync {:<9}  {}/s, p50 {}, p99 {}",
            units::bytes(append.bytes as u64),
            units::bytes(append.bytes_per_second as u64),
            units::time(append.p50),
            units::time(append.p99),
        )?;
    }
    writeln!(f)
}

fn cells(row: &Row) -> [String; 9] {
    let time = |seconds: Option<f64>| seconds.map(units::time).unwrap_or_default();
    let micros = |seconds: Option<f64>| seconds.map(units::micros).unwrap_or_default();
    [
        row.description.to_owned(),
        row.server.clone(),
        row.per_second.map(units::rate).unwrap_or_default(),
        time(row.p50),
        time(row.p99),
        time(row.p999),
        micros(row.server_cpu),
        micros(row.client_cpu),
        row.memory.map(units::bytes).unwrap_or_default(),
    ]
}

impl Report {
    /// What does not fit a column.
    fn notes(&self, row: &Row) -> String {
        let mut notes = Vec::new();
        if let Some(problem) = &row.problem {
            notes.push(problem.clone());
        }
        if row.work == "ingest" && row.problem.is_none() && row.count != 1_000_000 {
            notes.push(format!("{} stored, the others lost", row.count));
        }
        if let Some(idle) = row.idle {
            notes.push(format!("idle {:.2} % of a core", idle * 100.0));
        }
        if let Some(first_ack) = row.first_ack {
            let stored = units::bytes(row.count * self.value_bytes as u64);
            notes.push(format!(
                "first ack after {} with {stored} stored",
                units::time(first_ack)
            ));
        }
        if let (Some(p50), Some(p99)) = (row.alone_p50, row.alone_p99) {
            let (p50, p99) = (units::time(p50), units::time(p99));
            notes.push(format!("alone p50 {p50}, p99 {p99}"));
        }
        if let Some(share) = &row.share {
            notes.push(format!("{:.2} x {}", share.times, share.of));
        }
        let peers = self
            .rows
            .iter()
            .filter(|peer| peer.work == row.work && peer.server != row.server);
        if self
            .rows
            .iter()
            .find(|first| first.work == row.work)
            .is_some_and(|first| first.server == row.server)
        {
            notes.extend(peers.filter_map(|peer| compared(row, peer)));
        }
        notes.join(", ")
    }
}

/// How many times as fast.
fn compared(row: &Row, peer: &Row) -> Option<String> {
    let times = match (
        row.per_second.zip(peer.per_second),
        row.first_ack.zip(peer.first_ack),
    ) {
        (Some((ours, theirs)), _) => ours / theirs,
        (None, Some((ours, theirs))) => theirs / ours,
        (None, None) => peer.p99? / row.p99?,
    };
    Some(format!("{times:.1} x {}", peer.server))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::figures::{Latency, Spent};
    use crate::report::{Report, Row};
    use crate::work::{Measured, Work};

    #[test]
    fn a_row_says_how_it_compares() {
        let measured = |count| Measured {
            count,
            spent: Spent {
                time: Duration::from_secs(1),
                server_cpu: Some(Duration::from_millis(600)),
                own_cpu: Duration::from_millis(300),
                peak_memory: Some(50 << 20),
            },
            latency: Latency::default(),
            idle: None,
            first_ack: None,
            alone: None,
            course: Vec::new(),
        };
        let report = Report {
            value_bytes: 256,
            limits: None,
            archive: Vec::new(),
            rows: vec![
                Row::new(Work::Publish, "strandline", &measured(1_000_000), None),
                Row::new(Work::Publish, "jetstream", &measured(200_000), None),
                Row::failed(Work::Tail, "jetstream", "not held".to_owned()),
            ],
        };
        let text = report.to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[2],
            "publish, 4 x 1,000 in flight  strandline  1.00 M/s                        0.60       0.30  50 MiB  5.0 x jetstream"
        );
        assert!(
            lines[3].contains(" 200 k/s ") && lines[3].ends_with("50 MiB"),
            "{}",
            lines[3]
        );
        assert!(lines[4].ends_with("not held"), "{}", lines[4]);
    }
}
