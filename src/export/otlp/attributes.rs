//! The attributes of spans and events. Those of OpenTelemetry's conventions have its names.

use std::borrow::Cow;

use alloc_counter::Counts;

use crate::report::duration::nanoseconds;
use crate::report::units::count;
use crate::report::{CallReport, Compared, FoldedReport, Outcome, SiteReport};

use super::span::{Attribute, Value};

/// The attributes of one span or event, each key once.
pub(super) struct Attributes<'a>(pub(super) Vec<Attribute<'a>>);

/// Most spans have fewer attributes.
const USUAL: usize = 40;
/// How many sites of a call are told.
const SITES: usize = 3;

type Labels = [(Cow<'static, str>, String)];

impl<'a> Attributes<'a> {
    pub(super) fn new() -> Self {
        Self(Vec::with_capacity(USUAL))
    }

    pub(super) fn add(&mut self, key: &'a str, value: Value<'a>) {
        self.0.push((key, value));
    }

    pub(super) fn number(&mut self, key: &'a str, number: u64) {
        self.add(key, Value::Integer(number));
    }

    pub(super) fn text(&mut self, key: &'a str, text: &'a str) {
        self.add(key, Value::Text(text));
    }

    pub(super) fn flag(&mut self, key: &'a str, is_set: bool) {
        if is_set {
            self.add(key, Value::Flag(true));
        }
    }

    /// Adds labels of the program, last: a key must not be empty and not be there twice.
    pub(super) fn labels(&mut self, labels: impl Iterator<Item = &'a (Cow<'static, str>, String)>) {
        for (name, value) in labels {
            let is_new = !self.0.iter().any(|(key, _)| *key == &**name);
            if is_new && !name.is_empty() {
                self.text(name, value);
            }
        }
    }

    pub(super) fn call(&mut self, call: &'a CallReport) {
        self.place(&call.module, &call.name, &call.file, call.line);
        self.number("thread.id", u64::from(call.thread.number));
        if let Some(name) = &call.thread.name {
            self.text("thread.name", name);
        }
        self.counts(call.total.as_ref());
        self.self_counts(call.self_counts.as_ref());
        if let Some(peak) = call.peak_bytes {
            self.number("heap.peak_bytes", peak);
        }
        self.number("tracer.busy_ns", nanoseconds(call.busy));
        self.number("tracer.self_ns", nanoseconds(call.self_wall));
        self.number("tracer.self_busy_ns", nanoseconds(call.self_busy));
        if let Some(id) = &call.id {
            self.text("tracer.call_id", id);
        }
        self.flag("tracer.moved", call.moved);
        self.flag("tracer.partial", call.partial);
        self.outcome(&call.outcome);
        if let Some(compared) = &call.compared {
            self.compared(compared);
        }
        self.sites(call.sites.as_deref());
        self.labels(call.labels.iter());
    }

    pub(super) fn folded(&mut self, folded: &'a FoldedReport, within: Option<&'a FoldedReport>) {
        self.place(&folded.module, &folded.name, &folded.file, folded.line);
        if let Some(within) = within {
            let path = Value::Path(&within.module, &within.name);
            self.add("tracer.folded.within", path);
        }
        self.number("tracer.folded.calls", folded.calls);
        for (key, number) in [
            ("tracer.folded.running", folded.running),
            ("tracer.folded.failures", folded.failures),
            ("tracer.folded.cancelled", folded.cancelled),
        ] {
            if number > 0 {
                self.number(key, number);
            }
        }
        self.number("tracer.wall_ns", nanoseconds(folded.wall));
        self.counts(folded.total.as_ref());
        self.self_counts(folded.self_counts.as_ref());
        self.number("tracer.busy_ns", nanoseconds(folded.busy));
        self.number("tracer.self_ns", nanoseconds(folded.self_wall));
        self.number("tracer.self_busy_ns", nanoseconds(folded.self_busy));
        self.flag("tracer.moved", folded.moved);
        self.flag("tracer.partial", folded.partial);
        self.sites(folded.sites.as_deref());
    }

    fn place(&mut self, module: &'a str, name: &'a str, file: &'a str, line: u32) {
        self.add("code.function.name", Value::Path(module, name));
        self.text("code.file.path", file);
        self.number("code.line.number", u64::from(line));
    }

    pub(super) fn counts(&mut self, counts: Option<&Counts>) {
        if let Some(counts) = counts {
            self.number("heap.allocations", counts.allocates());
            self.number("heap.bytes", counts.bytes_allocated);
            self.number("heap.frees", counts.deallocations);
            self.number("heap.freed_bytes", counts.bytes_deallocated);
            self.add("heap.net_bytes", Value::Difference(counts.net_bytes()));
        }
    }

    fn self_counts(&mut self, counts: Option<&Counts>) {
        if let Some(counts) = counts {
            self.number("heap.self.allocations", counts.allocates());
            self.number("heap.self.bytes", counts.bytes_allocated);
        }
    }

    /// Adds an outcome that is not the usual one.
    pub(super) fn outcome(&mut self, outcome: &Outcome) {
        let shown = match outcome {
            Outcome::Ok => return,
            Outcome::Failed(_) => "failed",
            Outcome::Panicked => "panicked",
            Outcome::Cancelled => "cancelled",
            Outcome::Running => "running",
        };
        self.text("tracer.outcome", shown);
    }

    pub(super) fn compared(&mut self, compared: &Compared) {
        self.flag("tracer.stands_out", compared.stands_out());
        self.number("tracer.baseline.requests", compared.of);
        self.number("tracer.baseline.requests_with", compared.requests);
        self.number("tracer.path.calls", compared.calls);
        self.number("tracer.path.wall_ns", nanoseconds(compared.wall));
        self.number("tracer.baseline.calls_p50", compared.usual_calls.p50);
        self.number("tracer.baseline.calls_p95", compared.usual_calls.p95);
        let wall = compared.usual_wall.map(nanoseconds);
        self.number("tracer.baseline.wall_p50_ns", wall.p50);
        self.number("tracer.baseline.wall_p95_ns", wall.p95);
        if let (Some(allocates), Some(usual)) = (compared.allocates, compared.usual_allocates) {
            self.number("tracer.path.allocations", allocates);
            self.number("tracer.baseline.allocations_p50", usual.p50);
            self.number("tracer.baseline.allocations_p95", usual.p95);
        }
        if let (Some(net), Some(usual)) = (compared.net_bytes, compared.usual_net_bytes) {
            self.add("tracer.path.net_bytes", Value::Difference(net));
            self.number("tracer.baseline.net_bytes_p50", usual.p50);
            self.number("tracer.baseline.net_bytes_p95", usual.p95);
        }
    }

    /// Adds the heaviest places, as texts.
    pub(super) fn sites(&mut self, sites: Option<&[SiteReport]>) {
        let Some(sites) = sites.filter(|sites| !sites.is_empty()) else {
            return;
        };
        let sites = SiteReport::by_line(Some(sites));
        let shown = sites.iter().take(SITES).map(|site| {
            let (allocates, bytes) = (count(site.allocates()), site.shown_bytes());
            format!("{allocates} × {bytes} bytes: {}", site.described())
        });
        self.add("heap.sites", Value::Texts(Cow::Owned(shown.collect())));
    }
}

/// Returns the value of the label of this name.
pub(super) fn label<'a>(labels: &'a Labels, name: &str) -> Option<&'a str> {
    let found = labels.iter().find(|(other, _)| other == name);
    found.map(|(_, value)| &**value)
}
