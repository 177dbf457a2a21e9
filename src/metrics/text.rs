//! The text format of [OpenMetrics] 1.0.
//!
//! The crate `prometheus-client` (0.26) can't write these metrics: an exemplar can be made only by a histogram that
//! observes each value itself.
//!
//! [OpenMetrics]: https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md

use std::fmt::{Display, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::recorder::Histogram;
use crate::store::ids::TraceId;

/// The metrics that are written.
pub(super) struct Text(String);

/// A metric family: all samples of one metric.
pub(super) struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
}

/// Names and values of a sample's labels.
type Labels<'a> = &'a [(&'static str, &'a str)];

/// A request that is an example of the values in a bucket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exemplar {
    pub(super) trace_id: TraceId,
    pub(super) value: u64,
    pub(super) at: SystemTime,
}

impl Text {
    pub(super) fn new() -> Self {
        Self(String::new())
    }

    /// Begins a family of counters. The samples' names end with `_total`.
    pub(super) fn counter(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "counter", help)
    }

    pub(super) fn gauge(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "gauge", help)
    }

    pub(super) fn histogram(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "histogram", help)
    }

    fn family(&mut self, name: &'static str, kind: &str, help: &str) -> Family<'_> {
        let text = &mut self.0;
        write(text, format_args!("# TYPE {name} {kind}\n"));
        // By the format, a name with a unit ends with it.
        for unit in ["seconds", "bytes"] {
            if name.ends_with(unit) {
                write(text, format_args!("# UNIT {name} {unit}\n"));
            }
        }
        write(text, format_args!("# HELP {name} {help}\n"));
        Family { text, name }
    }

    pub(super) fn end(mut self) -> String {
        self.0.push_str("# EOF\n");
        self.0
    }
}

impl Family<'_> {
    /// Writes a counter's value.
    pub(super) fn total(&mut self, labels: Labels<'_>, value: u64) {
        self.sample("_total", labels, value);
        self.text.push('\n');
    }

    /// Writes a gauge's value.
    pub(super) fn value(&mut self, labels: Labels<'_>, value: impl Display) {
        self.sample("", labels, value);
        self.text.push('\n');
    }

    /// Writes a histogram with the exemplars of its buckets. `scaled` converts values to the metric's unit.
    pub(super) fn buckets<const BUCKETS: usize>(
        &mut self,
        route: &str,
        bounds: &[u64; BUCKETS],
        histogram: &Histogram<BUCKETS>,
        exemplars: Option<&[Option<Exemplar>; BUCKETS]>,
        scaled: fn(u64) -> f64,
    ) {
        let mut until = 0;
        for (place, count) in histogram.counts.iter().enumerate() {
            until += count;
            let bound = match bounds[place] {
                u64::MAX => "+Inf".to_owned(),
                // So that `1` is written as `1.0`, as the format asks.
                bound => format!("{:?}", scaled(bound)),
            };
            self.sample("_bucket", &[("route", route), ("le", &bound)], until);
            if let Some(exemplar) = exemplars.and_then(|it| it[place]) {
                self.exemplar(exemplar, scaled);
            }
            self.text.push('\n');
        }
        let route = [("route", route)];
        self.sample("_count", &route, until);
        self.text.push('\n');
        let sum = scaled(histogram.sum);
        self.sample("_sum", &route, format_args!("{sum:?}"));
        self.text.push('\n');
    }

    fn exemplar(&mut self, exemplar: Exemplar, scaled: fn(u64) -> f64) {
        let Exemplar {
            trace_id,
            value,
            at,
        } = exemplar;
        let value = scaled(value);
        let named = format_args!(" # {{trace_id=\"{trace_id}\"}} {value:?}");
        write(self.text, named);
        // Before 1970 there is no time to tell.
        if let Ok(at) = at.duration_since(UNIX_EPOCH) {
            let (seconds, milliseconds) = (at.as_secs(), at.subsec_millis());
            write(self.text, format_args!(" {seconds}.{milliseconds:03}"));
        }
    }

    fn sample(&mut self, suffix: &str, labels: Labels<'_>, value: impl Display) {
        self.text.push_str(self.name);
        self.text.push_str(suffix);
        for (place, (name, value)) in labels.iter().enumerate() {
            self.text.push(if place == 0 { '{' } else { ',' });
            self.text.push_str(name);
            self.text.push_str("=\"");
            escape(value, self.text);
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        write(self.text, format_args!(" {value}"));
    }
}

fn write(text: &mut String, what: std::fmt::Arguments<'_>) {
    // A string takes everything.
    let _ = text.write_fmt(what);
}

/// Writes a label's value. The format ends lines at line feeds only; all other characters stand for themselves.
fn escape(value: &str, text: &mut String) {
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            other => text.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn golden() {
        let mut text = Text::new();
        let mut counter = text.counter("tracer_freed_bytes", "Bytes.");
        counter.total(&[("a", "b\\\"\n\r\u{2028}}"), ("c", "")], 7);
        text.gauge("tracer_names", "Names.").value(&[], -7);
        let exemplar = Exemplar {
            trace_id: TraceId::MIN,
            value: 1_500_000_000,
            at: UNIX_EPOCH + Duration::from_millis(12_034),
        };
        let mut times = text.histogram("tracer_time_seconds", "Times.");
        times.buckets(
            "/",
            &[250_000, 2_000_000_000, u64::MAX],
            &Histogram {
                counts: [2, 1, 1],
                sum: 5_000_400_000,
            },
            Some(&[None, Some(exemplar), None]),
            |it| Duration::from_nanos(it).as_secs_f64(),
        );
        let expected = "\
# TYPE tracer_freed_bytes counter
# UNIT tracer_freed_bytes bytes
# HELP tracer_freed_bytes Bytes.
tracer_freed_bytes_total{a=\"b\\\\\\\"\\n\r\u{2028}}\",c=\"\"} 7
# TYPE tracer_names gauge
# HELP tracer_names Names.
tracer_names -7
# TYPE tracer_time_seconds histogram
# UNIT tracer_time_seconds seconds
# HELP tracer_time_seconds Times.
tracer_time_seconds_bucket{route=\"/\",le=\"0.00025\"} 2
tracer_time_seconds_bucket{route=\"/\",le=\"2.0\"} 3 # {trace_id=\"00000000000000000000000000000001\"} 1.5 12.034
tracer_time_seconds_bucket{route=\"/\",le=\"+Inf\"} 4
tracer_time_seconds_count{route=\"/\"} 4
tracer_time_seconds_sum{route=\"/\"} 5.0004
# EOF
";
        assert_eq!(text.end(), expected);
    }
}
