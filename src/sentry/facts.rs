//! What an event is told of the trace in which it was captured.

use std::time::Duration;

use alloc_counter::Counts;
use sentry_core::protocol::{Context, Event, Map, TraceContext, Value};

use crate::recorder::WeakRecorder;
use crate::report::{CallReport, Outcome, Report};
use crate::store::ids::{SpanId, TraceId};
use crate::write::current::fetch;

use super::texts::{cut, tag};

/// The name of the context with the facts.
pub(super) const CONTEXT: &str = "tracer";
/// The name of the context that Sentry knows.
const TRACE: &str = "trace";
/// The most open calls that are listed.
const MAX_CALLS: usize = 32;

/// What is known of a trace and of its request.
pub(super) struct Facts {
    pub(super) trace: u64,
    pub(super) trace_id: TraceId,
    pub(super) span_id: SpanId,
    /// The id of what is around `span_id`.
    pub(super) parent_span: Option<SpanId>,
    pub(super) elapsed: Duration,
    pub(super) total: Option<Counts>,
    pub(super) route: Option<String>,
    pub(super) request_id: Option<String>,
    /// The open calls around this place, the outermost first.
    pub(super) open: Vec<CallReport>,
    /// The number of further ones around them.
    pub(super) more_open: usize,
}

impl Facts {
    /// Returns what is known of the trace that is current on this thread; `None` if there is none.
    pub(super) fn here(recorder: &WeakRecorder) -> Option<Self> {
        let here = fetch();
        let (trace_id, span_id) = (here.trace_id()?, here.span_id()?);
        let mut report = here.report();
        // Before the calls are taken out of the report.
        let parent_span = parent(&report, span_id);
        let open = open_calls(&mut report, span_id);
        let more_open = open.len().saturating_sub(MAX_CALLS);
        // A panic's hook may run while this thread holds a lock.
        let request = recorder.find_in_flight(here.id(), !std::thread::panicking());
        let (route, request_id) = request.unzip();
        Some(Self {
            trace: here.id(),
            trace_id,
            span_id,
            parent_span,
            elapsed: here.age(),
            total: report.total,
            route,
            request_id: request_id.flatten(),
            open: open.into_iter().skip(more_open).collect(),
            more_open,
        })
    }

    /// Adds the facts to an event, in memory of the program's.
    pub(super) fn add_to(&self, event: &mut Event<'static>) {
        // A transaction of Sentry's has its own ids, by which Sentry finds the event in it.
        let is_in_transaction =
            matches!(event.contexts.get(TRACE), Some(Context::Trace(it)) if it.op.is_some());
        if !is_in_transaction {
            let context = TraceContext {
                trace_id: self.trace_id.to_bytes().into(),
                span_id: self.span_id.to_bytes().into(),
                parent_span_id: self.parent_span.map(|it| it.to_bytes().into()),
                ..TraceContext::default()
            };
            event.contexts.insert(TRACE.to_owned(), context.into());
        }
        let context = Context::Other(self.context());
        event.contexts.insert(CONTEXT.to_owned(), context);
        for (name, value) in [("route", &self.route), ("request_id", &self.request_id)] {
            if let Some(value) = value {
                let tags = event.tags.entry(name.to_owned());
                tags.or_insert_with(|| tag(value));
            }
        }
        if let Some(route) = &self.route {
            event.transaction.get_or_insert_with(|| tag(route));
        }
    }

    fn context(&self) -> Map<String, Value> {
        let mut context = Map::new();
        let mut put = |name: &str, value: Value| context.insert(name.to_owned(), value);
        put("trace", self.trace.into());
        put("trace_id", self.trace_id.to_string().into());
        for (name, value) in [("route", &self.route), ("request_id", &self.request_id)] {
            if let Some(value) = value {
                put(name, cut(value).into());
            }
        }
        put("elapsed_ms", milliseconds(self.elapsed));
        if let Some(total) = &self.total {
            put("allocations", total.allocates().into());
            put("allocated_bytes", total.bytes_allocated.into());
        }
        if !self.open.is_empty() {
            let calls = self.open.iter().map(call);
            put("open_calls", Value::Array(calls.collect()));
        }
        if self.more_open > 0 {
            put("further_open_calls", self.more_open.into());
        }
        context
    }
}

/// Returns the id of what is around a call or the request itself.
fn parent(report: &Report, of: SpanId) -> Option<SpanId> {
    if report.span_id == Some(of) {
        return report.parent_span;
    }
    let call = report.calls.iter().find(|call| call.span_id == Some(of))?;
    match call.parent {
        Some(parent) => report.calls.get(parent)?.span_id,
        None => report.span_id,
    }
}

/// Returns the call with this id and those around it that are open, the outermost first.
fn open_calls(report: &mut Report, innermost: SpanId) -> Vec<CallReport> {
    let mut calls: Vec<_> = report.calls.drain(..).map(Some).collect();
    let is_it =
        |call: &Option<CallReport>| call.as_ref().and_then(|call| call.span_id) == Some(innermost);
    let mut next = calls.iter().position(is_it);
    let mut open = Vec::new();
    while let Some(call) = next.and_then(|place| calls.get_mut(place)?.take()) {
        next = call.parent;
        if call.outcome == Outcome::Running {
            open.push(call);
        }
    }
    open.reverse();
    open
}

fn call(call: &CallReport) -> Value {
    let mut facts = serde_json::Map::new();
    let mut put = |name: &str, value: Value| facts.insert(name.to_owned(), value);
    put("name", cut(&call.name).into());
    if let Some(id) = &call.id {
        put("id", cut(id).into());
    }
    put("at", cut(&format!("{}:{}", call.file, call.line)).into());
    put("ms", milliseconds(call.wall));
    if let Some(total) = &call.total {
        put("allocations", total.allocates().into());
        put("allocated_bytes", total.bytes_allocated.into());
    }
    if let Some(last) = call.checkpoints.last() {
        put("checkpoint", cut(&last.name).into());
    }
    Value::Object(facts)
}

/// Returns milliseconds, to a microsecond.
fn milliseconds(time: Duration) -> Value {
    let microseconds = u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
    (f64::from(microseconds) / 1e3).into()
}
