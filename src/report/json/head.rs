//! The head of a report: all but its calls, by which a report is found among many.

use std::time::{Duration, SystemTime};

use alloc_counter::Counts;
use memchr::memmem;
use serde::{Deserialize, Serialize, Serializer};

use crate::report::duration::nanoseconds;
use crate::report::{Report, Request};
use crate::store::ids::TraceId;

use super::counts::CountsInJson;
use super::report::{SchemaVersion, from_unix_ns, unix_ns};
use super::request::RequestInJson;

/// What a report says of its request and trace, without the calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) request: Option<Box<Request>>,
    pub(crate) trace: u64,
    pub(crate) trace_id: Option<TraceId>,
    pub(crate) started: SystemTime,
    pub(crate) elapsed: Duration,
    pub(crate) total: Option<Counts>,
}

#[derive(Serialize, Deserialize)]
#[serde(expecting = "a report")]
struct HeadInJson<'a> {
    tracer_report: SchemaVersion,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    request: Option<RequestInJson<'a>>,
    trace: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trace_id: Option<TraceId>,
    started_unix_ns: i64,
    elapsed_ns: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    total: Option<CountsInJson>,
}

/// Written as a report without its calls.
impl Serialize for Head {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let head = HeadInJson {
            tracer_report: SchemaVersion,
            request: self.request.as_deref().map(RequestInJson::of),
            trace: self.trace,
            trace_id: self.trace_id,
            started_unix_ns: unix_ns(self.started),
            elapsed_ns: nanoseconds(self.elapsed),
            total: self.total.map(CountsInJson::of),
        };
        head.serialize(serializer)
    }
}

/// The beginning of the calls. A string has no bare quotes, so this is nowhere else.
const CALLS: &[u8] = b",\"calls\":[";

impl Head {
    pub(crate) fn of(report: &Report) -> Self {
        Self {
            request: report.request.clone(),
            trace: report.trace,
            trace_id: report.trace_id,
            started: report.started,
            elapsed: report.elapsed,
            total: report.total,
        }
    }

    /// Reads the head of the report on a line; `None` if there is none. The calls are not checked.
    pub(crate) fn of_line(line: &[u8]) -> Option<Self> {
        let line = line.trim_ascii();
        let before_calls = memmem::find(line, CALLS).filter(|_| line.ends_with(b"}"));
        let head = before_calls.and_then(|end| {
            let head = [&line[..end], b"}"].concat();
            let head: HeadInJson<'_> = serde_json::from_slice(&head).ok()?;
            // Other writers may have another order of fields.
            (head.request.is_some() && head.total.is_some()).then(|| Self::from(head))
        });
        head.or_else(|| {
            let head: HeadInJson<'_> = serde_json::from_slice(line).ok()?;
            Some(Self::from(head))
        })
    }

    pub(crate) fn name(&self) -> &str {
        self.request.as_ref().map_or("", |it| &it.name)
    }

    pub(crate) fn wall(&self) -> Duration {
        self.request.as_ref().map_or(self.elapsed, |it| it.wall)
    }

    /// Returns what identifies the request among those of all processes.
    pub(crate) fn key(&self) -> (u64, SystemTime) {
        (self.trace, self.started)
    }
}

impl From<HeadInJson<'_>> for Head {
    fn from(head: HeadInJson<'_>) -> Self {
        Self {
            request: head.request.map(|it| Box::new(it.into_request())),
            trace: head.trace,
            trace_id: head.trace_id,
            started: from_unix_ns(head.started_unix_ns),
            elapsed: Duration::from_nanos(head.elapsed_ns),
            total: head.total.map(CountsInJson::into_counts),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Outcome;
    use crate::report::json::line;
    use crate::store::trace::Trace;

    #[test]
    fn the_head_is_that_of_the_report_whatever_the_order_of_its_fields() {
        let trace = Trace::new();
        let scope = trace.inject();
        crate::call!(",\"calls\":[").stop();
        drop(scope);
        let mut report = trace.report();
        for with_request in [false, true] {
            report.request = with_request.then(|| {
                Box::new(Request {
                    name: ",\"calls\":[".to_owned(),
                    id: Some("}".to_owned()),
                    labels: vec![("a".into(), ",\"calls\":[{}]}".to_owned())],
                    wall: report.elapsed,
                    outcome: Outcome::Failed("no".to_owned()),
                    reasons: vec!["failed".to_owned()],
                    compared: None,
                })
            });
            for total in [None, Some(Counts::ZERO)] {
                report.total = total;
                let text = line(&report).unwrap();
                let head = Head::of(&report);
                assert_eq!(Head::of_line(&text).as_ref(), Some(&head));
                let sorted: serde_json::Value = serde_json::from_slice(&text).unwrap();
                let spaced = serde_json::to_string_pretty(&sorted)
                    .unwrap()
                    .replace('\n', "");
                for text in [sorted.to_string(), spaced] {
                    assert_eq!(Head::of_line(text.as_bytes()).as_ref(), Some(&head));
                }
                // What is written of it is a report without calls.
                let mut written = serde_json::to_value(&head).unwrap();
                for missing in ["memory_bytes", "calls"] {
                    written[missing] = sorted[missing].clone();
                }
                for (name, value) in written.as_object().unwrap() {
                    assert_eq!(&sorted[name], value, "{name}");
                }
                let cut = memmem::rfind(&text, CALLS).unwrap() + CALLS.len();
                assert_eq!(Head::of_line(&text[..cut]), None);
            }
        }
        assert_eq!(Head::of_line(b"{\"tracer_report\":2,\"trace\":1}"), None);
    }
}
