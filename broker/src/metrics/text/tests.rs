//! What the text looks like.

use super::super::value::{Histogram, TIMES};
use super::*;

const COUNTER: Metric = Metric {
    name: "house_doors",
    kind: Kind::Counter,
    help: "doors with a \"name\" and a \\",
};
const TIME: Metric = Metric {
    name: "house_seconds",
    kind: Kind::Histogram,
    help: "time",
};

fn text(format: Format, fill: impl FnOnce(&mut Exposition)) -> String {
    let mut exposition = Exposition::new(format);
    fill(&mut exposition);
    exposition.finish()
}

#[test]
fn a_counter_is_named_as_each_format_wants_it() {
    let fill = |out: &mut Exposition| out.by(&COUNTER, "door", [("front", 2u64), ("a\"b\\c\nd", 3)]);
    let samples = "house_doors_total{door=\"front\"} 2\nhouse_doors_total{door=\"a\\\"b\\\\c\\nd\"} 3\n";
    assert_eq!(
        text(Format::Prometheus, fill),
        format!(
            "# HELP house_doors_total doors with a \"name\" and a \\\\\n# TYPE house_doors_total counter\n{samples}"
        )
    );
    assert_eq!(
        text(Format::OpenMetrics, fill),
        format!(
            "# HELP house_doors doors with a \\\"name\\\" and a \\\\\n# TYPE house_doors counter\n{samples}# EOF\n"
        )
    );
}

#[test]
fn a_histogram_ends_with_everything_its_sum_and_its_count() {
    let histogram = Histogram::new(&TIMES);
    histogram.observe(20_000);
    let text = text(Format::Prometheus, |out| {
        out.histogram(&TIME, &histogram.snapshot());
    });
    for line in [
        "house_seconds_bucket{le=\"1e-05\"} 0",
        "house_seconds_bucket{le=\"2.5e-05\"} 1",
        "house_seconds_bucket{le=\"0.0001\"} 1",
        "house_seconds_bucket{le=\"10.0\"} 1",
        "house_seconds_bucket{le=\"+Inf\"} 1",
        "house_seconds_sum 2e-05",
        "house_seconds_count 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in {text}");
    }
}

#[test]
fn numbers_are_canonical() {
    let cases = [
        (0.0, "0.0"),
        (1.0, "1.0"),
        (0.0025, "0.0025"),
        (65536.0, "65536.0"),
        (1048576.0, "1.048576e+06"),
        (1e-9, "1e-09"),
        (f64::INFINITY, "+Inf"),
    ];
    for (number, expected) in cases {
        assert_eq!(real(number), expected);
    }
}

#[test]
fn openmetrics_is_written_for_those_who_like_it_at_least_as_well() {
    let cases = [
        ("", Format::Prometheus),
        ("*/*", Format::Prometheus),
        ("text/plain", Format::Prometheus),
        ("application/openmetrics-text", Format::OpenMetrics),
        (
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
            Format::OpenMetrics,
        ),
        (
            "application/openmetrics-text;q=0.1, text/plain;q=0.9",
            Format::Prometheus,
        ),
        ("application/openmetrics-text;q=0", Format::Prometheus),
    ];
    for (accept, expected) in cases {
        assert_eq!(Format::accepted(accept), expected, "{accept}");
    }
}
