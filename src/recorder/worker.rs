//! The recorder's thread: builds the reports of kept requests and hands them on.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use crate::report::{Outcome, Report, Request};

use super::bytes::bytes_of;
use super::compare::compare;
use super::finished::Finished;
use super::shared::Shared;
use super::sinks::Sink;

pub(super) fn start(shared: &Arc<Shared>, sinks: &Arc<[Arc<Sink>]>) -> io::Result<JoinHandle<()>> {
    let (shared, sinks) = (Arc::clone(shared), Arc::clone(sinks));
    let work = move || {
        shared.queue.each(|finished| {
            let (route, reason) = (finished.route.number, finished.reasons.first().cloned());
            let report = Arc::new(report(&shared, finished));
            let bytes = bytes_of(&report);
            if let Some(reason) = reason {
                let mut ring = shared.ring();
                ring.push(Arc::clone(&report), bytes, route, reason);
            }
            for sink in &*sinks {
                sink.offer(&report, bytes);
            }
        });
    };
    let thread = std::thread::Builder::new().name("tracer-recorder".to_owned());
    thread.spawn(move || alloc_counter::exclude(work))
}

fn report(shared: &Shared, finished: Finished) -> Report {
    let mut report = finished.trace.report();
    let compared = compare(shared, &finished.route, &mut report, finished.wall);
    let mut outcome = finished.outcome;
    if let Outcome::Failed(why) = &mut outcome
        && why.is_empty()
    {
        // It was not told; its outermost call was.
        let mut calls = report.calls.iter().filter(|call| call.parent.is_none());
        if let Some(said) = calls.find_map(|call| match &call.outcome {
            Outcome::Failed(said) => Some(said),
            _ => None,
        }) {
            why.clone_from(said);
        }
    }
    let reasons = finished.reasons.iter().map(ToString::to_string).collect();
    report.request = Some(Box::new(Request {
        name: finished.route.name.to_string(),
        id: finished.id.map(|id| id.to_string()),
        labels: finished.labels,
        wall: finished.wall,
        outcome,
        reasons,
        compared,
    }));
    report
}
