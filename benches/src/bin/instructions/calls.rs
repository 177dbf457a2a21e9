//! A call and a checkpoint, beside spans and events of peers.

use std::hint::black_box;

use fastrace::Event;
use fastrace::local::LocalSpan;
use tracer::{Call, call};
use tracer_benches::requests::{in_fastrace, in_span, record_elsewhere, traced, traced_call};

use crate::{alone, within};

/// A page of records has room for this number of calls and the outermost one.
const CALLS: u64 = 28;
/// Checkpoints in one call.
const CHECKPOINTS: u64 = 20;

pub(crate) fn call() -> u64 {
    within(CALLS, traced, |_| call!().stop())
}

pub(crate) fn with_id() -> u64 {
    within(CALLS, traced, |_| {
        let id = black_box("ca7a87c4-58d0-4fdf-857c-ef49fc3bf271");
        call!("{id}").stop();
    })
}

pub(crate) fn with_no_trace() -> u64 {
    alone(|| call!().stop())
}

pub(crate) fn checkpoint() -> u64 {
    within(CHECKPOINTS, traced_call, |(call, _): &mut (Call, _)| {
        call.checkpoint("serialize");
    })
}

pub(crate) fn span_in_tracing() -> u64 {
    record_elsewhere();
    within(CALLS, in_span, |_| {
        drop(tracing::info_span!("span").entered());
    })
}

pub(crate) fn with_no_subscriber() -> u64 {
    alone(|| drop(tracing::info_span!("span").entered()))
}

pub(crate) fn event_in_tracing() -> u64 {
    record_elsewhere();
    within(CHECKPOINTS, in_span, |_| tracing::info!("serialize"))
}

pub(crate) fn span_in_fastrace() -> u64 {
    record_elsewhere();
    within(CALLS, in_fastrace, |_| {
        drop(LocalSpan::enter_with_local_parent("span"));
    })
}

pub(crate) fn event_in_fastrace() -> u64 {
    record_elsewhere();
    within(CHECKPOINTS, in_fastrace, |_| {
        LocalSpan::add_event(Event::new("serialize"));
    })
}
