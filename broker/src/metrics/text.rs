//! The text that monitoring systems read: Prometheus' format 0.0.4, or OpenMetrics 1.0.

use std::fmt::Write as _;

use super::value::Snapshot;

/// One of the two forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// What every Prometheus reads.
    Prometheus,
    /// What newer ones ask for.
    OpenMetrics,
}

/// What kind of number a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Only grows; its samples end in `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by size.
    Histogram,
}

/// One metric: its name without the `_total` of counters, and what it means.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Metric {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) help: &'static str,
}

/// Names and values that tell samples of one metric apart.
pub(crate) type Labels<'a> = &'a [(&'static str, &'a str)];

impl Format {
    /// The form that an `Accept` header asks for; Prometheus' own unless OpenMetrics is liked at least as well.
    pub(crate) fn accepted(accept: &str) -> Self {
        let liking = |kind: &str| {
            let mut ranges = accept.split(',').map(|range| range.split(';').map(str::trim));
            ranges.find_map(|mut range| {
                let same = range.next()?.eq_ignore_ascii_case(kind);
                let quality = range.find_map(|parameter| parameter.strip_prefix("q=")?.parse::<f32>().ok());
                same.then(|| quality.unwrap_or(1.0))
            })
        };
        let open = liking("application/openmetrics-text").unwrap_or_default();
        if open > 0.0 && open >= liking("text/plain").unwrap_or_default() {
            Self::OpenMetrics
        } else {
            Self::Prometheus
        }
    }

    /// The `Content-Type` of the text.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

impl Metric {
    /// The name of its samples; a histogram's have further endings.
    pub(crate) fn sample_name(&self) -> String {
        match self.kind {
            Kind::Counter => format!("{}_total", self.name),
            Kind::Gauge | Kind::Histogram => self.name.to_owned(),
        }
    }
}

/// A text that grows metric by metric.
#[derive(Debug)]
pub(crate) struct Exposition {
    format: Format,
    out: String,
}

impl Exposition {
    pub(crate) fn new(format: Format) -> Self {
        Self {
            format,
            out: String::with_capacity(32 << 10),
        }
    }

    /// A metric with one number.
    pub(crate) fn number(&mut self, metric: &Metric, value: impl Into<Number>) {
        self.family(metric, |family| family.sample(&[], value));
    }

    /// A metric with a number per value of one label.
    pub(crate) fn by<'l, N: Into<Number>>(
        &mut self,
        metric: &Metric,
        label: &'static str,
        values: impl IntoIterator<Item = (&'l str, N)>,
    ) {
        self.family(metric, |family| {
            for (name, value) in values {
                family.sample(&[(label, name)], value);
            }
        });
    }

    /// A histogram without labels.
    pub(crate) fn histogram(&mut self, metric: &Metric, snapshot: &Snapshot) {
        self.family(metric, |family| family.buckets(&[], snapshot));
    }

    /// The head of a metric, and its samples as `fill` adds them.
    pub(crate) fn family(&mut self, metric: &Metric, fill: impl FnOnce(&mut Family<'_>)) {
        let sample = metric.sample_name();
        let name = match self.format {
            Format::Prometheus => sample.as_str(),
            Format::OpenMetrics => metric.name,
        };
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        // A `String` takes everything.
        let _ = write!(self.out, "# HELP {name} ");
        escape(&mut self.out, metric.help, self.format == Format::OpenMetrics);
        let _ = write!(self.out, "\n# TYPE {name} {kind}\n");
        fill(&mut Family {
            out: &mut self.out,
            sample: &sample,
        });
    }

    /// The whole text.
    pub(crate) fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.out.push_str("# EOF\n");
        }
        self.out
    }
}

/// The samples of one metric.
#[derive(Debug)]
pub(crate) struct Family<'a> {
    out: &'a mut String,
    sample: &'a str,
}

impl Family<'_> {
    /// One number.
    pub(crate) fn sample(&mut self, labels: Labels<'_>, value: impl Into<Number>) {
        self.line("", labels, None, value.into());
    }

    /// One histogram.
    pub(crate) fn buckets(&mut self, labels: Labels<'_>, snapshot: &Snapshot) {
        for (bound, count) in &snapshot.below {
            self.line("_bucket", labels, Some(*bound), Number::Whole(*count));
        }
        self.line(
            "_bucket",
            labels,
            Some(f64::INFINITY),
            Number::Whole(snapshot.count),
        );
        self.line("_sum", labels, None, Number::Real(snapshot.sum));
        self.line("_count", labels, None, Number::Whole(snapshot.count));
    }

    fn line(&mut self, ending: &str, labels: Labels<'_>, bound: Option<f64>, value: Number) {
        self.out.push_str(self.sample);
        self.out.push_str(ending);
        let bound = bound.map(real);
        let bound = bound.as_ref().map(|text| ("le", text.as_str()));
        let mut before = '{';
        for (name, text) in labels.iter().copied().chain(bound) {
            self.out.push(before);
            self.out.push_str(name);
            self.out.push_str("=\"");
            escape(self.out, text, true);
            self.out.push('"');
            before = ',';
        }
        if before == ',' {
            self.out.push('}');
        }
        let _ = match value {
            Number::Whole(number) => writeln!(self.out, " {number}"),
            Number::Real(number) => writeln!(self.out, " {}", real(number)),
        };
    }
}

/// The value of a sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    /// Whole.
    Whole(u64),
    /// Not necessarily.
    Real(f64),
}

impl From<u64> for Number {
    fn from(number: u64) -> Self {
        Self::Whole(number)
    }
}

impl From<usize> for Number {
    fn from(number: usize) -> Self {
        Self::Whole(number as u64)
    }
}

impl From<bool> for Number {
    fn from(is: bool) -> Self {
        Self::Whole(u64::from(is))
    }
}

impl From<f64> for Number {
    fn from(number: f64) -> Self {
        Self::Real(number)
    }
}

/// A number in the form that OpenMetrics calls canonical, so that a bound reads the same everywhere.
fn real(number: f64) -> String {
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let size = number.abs();
    if size != 0.0 && !(1e-4..1e6).contains(&size) {
        let text = format!("{number:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) = match exponent.strip_prefix('-') {
            Some(exponent) => ('-', exponent),
            None => ('+', exponent),
        };
        return format!("{digits}e{sign}{exponent:0>2}");
    }
    // With a point, also where nothing follows it.
    format!("{number:?}")
}

fn escape(out: &mut String, text: &str, quotes: bool) {
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quotes => out.push_str("\\\""),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests;
