//! What was measured of the archive.

use std::fmt;

use serde::Serialize;

use super::units;
use crate::archive::ArchiveWork;

const HEAD: [&str; 6] = ["archive", "measured", "beside", "", "times", "asked"];

/// One figure of the archive, in base units: seconds, bytes.
#[derive(Clone, Debug, Serialize)]
pub struct ArchiveRow {
    /// The word for the work on the command line.
    pub work: &'static str,
    /// What was measured.
    pub what: &'static str,
    /// How much it is.
    pub value: f64,
    /// Of what.
    pub unit: Unit,
    /// The same without the archive, or without the broker, in the same unit.
    pub beside: Option<Beside>,
    /// How many times as much it is as that.
    pub times: Option<f64>,
    /// What it should be.
    pub asked: Option<Bound>,
    /// Whether it is.
    pub is_reached: Option<bool>,
    /// What else is to be known.
    pub note: String,
}

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Bytes a second.
    BytesPerSecond,
    /// Seconds.
    Seconds,
    /// Things.
    Count,
}

/// What a figure stands beside.
#[derive(Clone, Debug, Serialize)]
pub struct Beside {
    /// What it is of.
    pub what: &'static str,
    /// How much that is.
    pub value: f64,
}

/// What is asked of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// At least so many times what it stands beside.
    TimesAtLeast(f64),
    /// At most so many times that.
    TimesAtMost(f64),
    /// At most so much more than that.
    MoreAtMost(f64),
    /// At most so much.
    AtMost(f64),
}

impl ArchiveRow {
    pub(crate) fn new(work: ArchiveWork, what: &'static str) -> Self {
        Self {
            work: work.name(),
            what,
            value: 0.0,
            unit: Unit::Count,
            beside: None,
            times: None,
            asked: None,
            is_reached: None,
            note: String::new(),
        }
    }

    pub(crate) fn value(self, value: f64, unit: Unit) -> Self {
        Self { value, unit, ..self }
    }

    pub(crate) fn beside(self, what: &'static str, value: f64) -> Self {
        Self {
            times: (value > 0.0).then(|| self.value / value),
            beside: Some(Beside { what, value }),
            ..self
        }
    }

    /// To be told after the figures.
    pub(crate) fn asked(self, bound: Bound) -> Self {
        let beside = self.beside.as_ref().map(|beside| beside.value);
        let is_reached = match bound {
            Bound::TimesAtLeast(times) => self.times.map(|found| found >= times),
            Bound::TimesAtMost(times) => self.times.map(|found| found <= times),
            Bound::MoreAtMost(more) => beside.map(|beside| self.value - beside <= more),
            Bound::AtMost(most) => Some(self.value <= most),
        };
        Self {
            asked: Some(bound),
            is_reached,
            ..self
        }
    }

    pub(crate) fn note(self, note: String) -> Self {
        Self { note, ..self }
    }

    fn cells(&self) -> [String; 6] {
        let amount = |value: f64| match self.unit {
            Unit::Bytes => units::bytes(value as u64),
            Unit::BytesPerSecond => format!("{}/s", units::bytes(value as u64)),
            Unit::Seconds => units::time(value),
            Unit::Count => format!("{value:.0}"),
        };
        let asked = self.asked.map(|bound| match bound {
            Bound::TimesAtLeast(times) => format!("at least {times} x"),
            Bound::TimesAtMost(times) => format!("at most {times} x"),
            Bound::MoreAtMost(more) => format!("at most {} more", amount(more)),
            Bound::AtMost(most) => format!("at most {}", amount(most)),
        });
        let beside = self.beside.as_ref();
        [
            self.what.to_owned(),
            amount(self.value),
            beside.map(|beside| amount(beside.value)).unwrap_or_default(),
            beside.map(|beside| beside.what.to_owned()).unwrap_or_default(),
            self.times.map(|times| format!("{times:.2}")).unwrap_or_default(),
            asked.unwrap_or_default(),
        ]
    }

    fn notes(&self) -> String {
        let missed = (self.is_reached == Some(false)).then(|| "MISSED".to_owned());
        let notes = missed.into_iter().chain(Some(self.note.clone()));
        notes
            .filter(|note| !note.is_empty())
            .collect::<Vec<_>>()
            .join(", ")
    }
}

/// The table for people.
pub(super) fn write(f: &mut fmt::Formatter<'_>, rows: &[ArchiveRow]) -> fmt::Result {
    let mut lines = vec![(HEAD.map(str::to_owned), String::new())];
    lines.extend(rows.iter().map(|row| (row.cells(), row.notes())));
    let mut widths = [0; HEAD.len()];
    for (cells, _) in &lines {
        for (width, cell) in widths.iter_mut().zip(cells) {
            *width = cell.chars().count().max(*width);
        }
    }
    for (cells, notes) in lines {
        let mut line = String::new();
        for (column, (cell, width)) in cells.iter().zip(widths).enumerate() {
            line += &match column {
                1 | 2 | 4 => format!("{cell:>width$}  "),
                _ => format!("{cell:<width$}  "),
            };
        }
        writeln!(f, "{}", format!("{line}{notes}").trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_is_compared_with_what_stands_beside() {
        let row = |value: f64| {
            ArchiveRow::new(ArchiveWork::Upload, "upload")
                .value(value, Unit::Bytes)
                .beside("bare", 100.0)
        };
        let reached = |value, bound| row(value).asked(bound).is_reached;
        assert_eq!(reached(80.0, Bound::TimesAtLeast(0.8)), Some(true));
        assert_eq!(reached(79.0, Bound::TimesAtLeast(0.8)), Some(false));
        assert_eq!(reached(131.0, Bound::TimesAtMost(1.3)), Some(false));
        assert_eq!(reached(150.0, Bound::MoreAtMost(50.0)), Some(true));
        assert_eq!(reached(150.0, Bound::AtMost(149.0)), Some(false));
        let alone = ArchiveRow::new(ArchiveWork::Read, "read").asked(Bound::TimesAtLeast(0.8));
        assert_eq!(alone.is_reached, None, "there is nothing to compare it with");
    }
}
