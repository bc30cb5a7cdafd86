//! What plugins say: the last lines of an attachment, at a limited rate.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use strandline_core::{Clock, Timestamp};
use wasmtime::component::{ComponentType, Lift};

/// Longest text of a stranger's in an error, in bytes.
const TOLD_BYTES: usize = 1_000;

/// How much is kept of what a plugin says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// Most lines that are kept; the oldest go first.
    pub lines: usize,
    /// Most bytes of their texts.
    pub bytes: usize,
    /// Longest line in bytes; what is over is cut off.
    pub line_bytes: usize,
    /// Lines a second that are taken in the long run; a burst of twice as many passes.
    pub per_second: u32,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            lines: 1_000,
            bytes: 256 << 10,
            line_bytes: 4 << 10,
            per_second: 100,
        }
    }
}

/// How much a line matters, as the contract orders it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
pub enum Level {
    /// For the plugin's author.
    #[component(name = "debug")]
    Debug,
    /// Good to know.
    #[component(name = "info")]
    Info,
    /// Something is odd.
    #[component(name = "warn")]
    Warn,
    /// Something failed.
    #[component(name = "error")]
    Error,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        })
    }
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// The plugin, through the contract's log.
    Plugin,
    /// The plugin's standard output.
    Stdout,
    /// The plugin's standard error, where panics are told.
    Stderr,
    /// The host, about the plugin.
    Host,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plugin => "plugin",
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::Host => "host",
        })
    }
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// Counts the lines of the attachment from 1.
    pub number: u64,
    /// When it was said.
    pub time: Timestamp,
    /// How much it matters.
    pub level: Level,
    /// Who said it.
    pub source: Source,
    /// What, without control characters.
    pub text: String,
    /// How many lines the limit of the rate has taken out right before this one.
    pub left_out: u64,
}

/// Lines from some place on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPage {
    /// The lines, oldest first.
    pub lines: Vec<LogLine>,
    /// How many lines after the place that was asked for are gone.
    pub gone: u64,
}

/// The last lines of an attachment.
#[derive(Debug)]
pub struct PluginLog {
    settings: LogSettings,
    clock: Arc<dyn Clock>,
    ring: Mutex<Ring>,
}

#[derive(Debug)]
struct Ring {
    lines: VecDeque<LogLine>,
    bytes: usize,
    last: u64,
    left_out: u64,
    allowance: f64,
    filled: Instant,
}

impl PluginLog {
    pub(crate) fn new(settings: LogSettings, clock: Arc<dyn Clock>) -> Self {
        let ring = Ring {
            lines: VecDeque::new(),
            bytes: 0,
            last: 0,
            left_out: 0,
            allowance: burst(settings),
            filled: Instant::now(),
        };
        Self {
            settings,
            clock,
            ring: Mutex::new(ring),
        }
    }

    /// Lines with numbers greater than `after`, at most `max` of them.
    pub fn read(&self, after: u64, max: usize) -> LogPage {
        let ring = self.ring.lock();
        let first = ring.lines.front().map_or(ring.last + 1, |line| line.number);
        let skipped = usize::try_from(after.saturating_add(1).saturating_sub(first)).unwrap_or(usize::MAX);
        LogPage {
            lines: ring.lines.iter().skip(skipped).take(max).cloned().collect(),
            gone: first.saturating_sub(after.saturating_add(1)),
        }
    }

    /// Takes what is said, a line for each of its lines.
    pub(crate) fn write(&self, level: Level, source: Source, text: &str) {
        self.write_at(Instant::now(), level, source, text);
    }

    fn write_at(&self, now: Instant, level: Level, source: Source, text: &str) {
        let mut ring = self.ring.lock();
        ring.refill(now, self.settings);
        // The limit of a line's length holds for what is looked at, too.
        for line in text.lines().filter(|line| !line.is_empty()) {
            if ring.allowance < 1.0 {
                ring.left_out += 1;
                continue;
            }
            ring.allowance -= 1.0;
            ring.push(
                self.clock.now(),
                level,
                source,
                shown(line, self.settings.line_bytes),
            );
        }
        while ring.lines.len() > self.settings.lines || ring.bytes > self.settings.bytes {
            let Some(oldest) = ring.lines.pop_front() else {
                break;
            };
            ring.bytes -= oldest.text.len();
        }
    }
}

impl Ring {
    fn refill(&mut self, now: Instant, settings: LogSettings) {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.allowance = (self.allowance + passed * f64::from(settings.per_second)).min(burst(settings));
        self.filled = now;
    }

    fn push(&mut self, time: Timestamp, level: Level, source: Source, text: String) {
        self.last += 1;
        self.bytes += text.len();
        self.lines.push_back(LogLine {
            number: self.last,
            time,
            level,
            source,
            text,
            left_out: std::mem::take(&mut self.left_out),
        });
    }
}

fn burst(settings: LogSettings) -> f64 {
    2.0 * f64::from(settings.per_second)
}

/// What a plugin or the engine says in an error, as it may reach a terminal or a header: one line of bounded length without control
/// characters.
pub(crate) fn told(text: &str) -> String {
    let cut = &text[..text.floor_char_boundary(TOLD_BYTES + 1)];
    shown(&cut.replace('\n', " "), TOLD_BYTES)
}

/// The line as it may reach a terminal: cut to its limit, control characters replaced.
fn shown(line: &str, limit: usize) -> String {
    let cut = &line[..line.floor_char_boundary(limit)];
    let visible = |c: char| {
        if c.is_control() && c != '\t' {
            '\u{fffd}'
        } else {
            c
        }
    };
    let mut text: String = cut.chars().map(visible).collect();
    if cut.len() < line.len() {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::HostSettings;

    fn log(settings: LogSettings) -> PluginLog {
        PluginLog::new(settings, HostSettings::default().clock)
    }

    fn texts(log: &PluginLog) -> Vec<String> {
        log.read(0, usize::MAX)
            .lines
            .into_iter()
            .map(|line| line.text)
            .collect()
    }

    #[test]
    fn keeps_the_last_lines_and_says_how_many_are_gone() {
        let log = log(LogSettings {
            lines: 3,
            ..LogSettings::default()
        });
        for text in ["a", "b", "c", "d\n\ne"] {
            log.write(Level::Info, Source::Plugin, text);
        }
        assert_eq!(texts(&log), ["c", "d", "e"]);
        assert_eq!(log.read(0, 9).gone, 2);
        let page = log.read(3, 1);
        assert_eq!(
            (page.lines[0].text.as_str(), page.lines[0].number, page.gone),
            ("d", 4, 0)
        );
        assert!(log.read(5, 9).lines.is_empty());
        assert!(log.read(u64::MAX, 9).lines.is_empty());
    }

    #[test]
    fn bytes_are_limited_for_all_lines_and_for_each() {
        let log = log(LogSettings {
            bytes: 20,
            line_bytes: 7,
            ..LogSettings::default()
        });
        for text in ["short", "ächz ächz ächz", "\u{1b}[31mred"] {
            log.write(Level::Info, Source::Stderr, text);
        }
        assert_eq!(
            texts(&log),
            ["\u{fffd}[31mre…"],
            "the others do not fit beside it"
        );
    }

    #[test]
    fn the_rate_is_limited_and_what_is_left_out_counted() {
        let log = log(LogSettings {
            per_second: 10,
            ..LogSettings::default()
        });
        let start = Instant::now();
        for _ in 0..50 {
            log.write_at(start, Level::Info, Source::Plugin, "x");
        }
        assert_eq!(texts(&log).len(), 20);
        log.write_at(start + Duration::from_secs(1), Level::Info, Source::Plugin, "y");
        let last = log.read(20, 1).lines.remove(0);
        assert_eq!((last.text.as_str(), last.left_out), ("y", 30));
    }
}
