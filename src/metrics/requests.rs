//! The figures of the requests of each route.

use std::time::Duration;

use crate::recorder::{ALLOCATIONS, BYTES, Ending, Recorder, Refusal, WALL_NS};

use super::exemplars::Exemplars;
use super::text::Text;

pub(super) fn write(recorder: &Recorder, text: &mut Text) {
    // Read first: requests that are kept from now on may be in the histograms, but have no exemplar.
    let kept = recorder.kept();
    let exemplars = Exemplars::of(kept.iter().map(|report| &**report));
    let routes = recorder.totals();

    let mut ended = text.counter("tracer_requests", "Requests that have ended.");
    for route in &routes {
        for (outcome, ending) in [
            ("ok", Ending::Ok),
            ("failed", Ending::Failed),
            ("panicked", Ending::Panicked),
            ("cancelled", Ending::Cancelled),
            ("unknown", Ending::Unknown),
        ] {
            let labels = [("route", &*route.name), ("outcome", outcome)];
            ended.total(&labels, route.ended.ended_as(ending));
        }
    }
    let help = "Requests that have begun and not ended.";
    let mut in_flight = text.gauge("tracer_requests_in_flight", help);
    for route in &routes {
        in_flight.value(&[("route", &route.name)], route.in_flight);
    }
    let mut kept = text.counter("tracer_requests_kept", "Requests that were kept.");
    for route in &routes {
        kept.total(&[("route", &route.name)], route.ended.kept);
    }
    let help = "Requests to which no rule of the policy applied.";
    let mut not_kept = text.counter("tracer_requests_not_kept", help);
    for route in &routes {
        not_kept.total(&[("route", &route.name)], route.ended.not_kept);
    }
    let help = "Requests that should have been kept, but were dropped.";
    let mut dropped = text.counter("tracer_requests_dropped", help);
    for route in &routes {
        for (reason, refusal) in [
            ("queue_full", Refusal::Full),
            ("shut_down", Refusal::Closed),
            ("no_memory", Refusal::NoMemory),
        ] {
            let labels = [("route", &*route.name), ("reason", reason)];
            dropped.total(&labels, route.ended.dropped_by(refusal));
        }
    }

    let help = "Wall times of the requests.";
    let mut family = text.histogram("tracer_request_duration_seconds", help);
    for route in &routes {
        let exemplars = exemplars.get(&*route.name).map(|it| &it.wall);
        family.buckets(&route.name, &WALL_NS, &route.ever.wall, exemplars, seconds);
    }
    if !recorder.is_counted() {
        return;
    }
    let help = "How often a request allocated or reallocated.";
    let mut family = text.histogram("tracer_request_allocations", help);
    for route in &routes {
        let exemplars = exemplars.get(&*route.name).map(|it| &it.allocations);
        let histogram = &route.ever.allocations;
        family.buckets(&route.name, &ALLOCATIONS, histogram, exemplars, whole);
    }
    let help = "How many bytes a request allocated.";
    let mut family = text.histogram("tracer_request_allocated_bytes", help);
    for route in &routes {
        let exemplars = exemplars.get(&*route.name).map(|it| &it.bytes);
        family.buckets(&route.name, &BYTES, &route.ever.bytes, exemplars, whole);
    }
}

fn seconds(nanoseconds: u64) -> f64 {
    Duration::from_nanos(nanoseconds).as_secs_f64()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "the format's numbers are floating-point; sums beyond 2^53 are rounded"
)]
fn whole(number: u64) -> f64 {
    number as f64
}
