//! The recorder's thread: builds the reports of kept requests and hands them on.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use crate::primitives::text::unless_it_panics;
use crate::report::{Outcome, Report, Request};
#[cfg(feature = "sites")]
use crate::sites::Symbols;

use super::bytes::bytes_of;
use super::compare::compare;
use super::finished::Finished;
use super::policy::Reason;
use super::ring::Ring;
use super::shared::Shared;
use super::sinks::Sinks;

pub(super) fn start(shared: &Arc<Shared>, sinks: Sinks) -> io::Result<JoinHandle<()>> {
    let shared = Arc::clone(shared);
    let work = move || {
        #[cfg(feature = "sites")]
        let mut symbols = Symbols::new(Vec::new());
        shared.queue.each(|finished| {
            #[cfg(feature = "sites")]
            let (mut finished, symbols) = (finished, &mut symbols);
            #[cfg(feature = "sites")]
            let armed = finished.armed.take();
            hand_on(
                &shared,
                &sinks,
                finished,
                #[cfg(feature = "sites")]
                symbols,
            );
            #[cfg(feature = "sites")]
            if let Some(armed) = armed {
                shared.arms.give_back(armed);
            }
        });
    };
    let thread = std::thread::Builder::new().name("tracer-recorder".to_owned());
    thread.spawn(move || alloc_counter::exclude(work))
}

/// Builds the report of a kept request, and hands it to the sinks. That of a typical one stays in memory.
fn hand_on(
    shared: &Shared,
    sinks: &Sinks,
    finished: Finished,
    #[cfg(feature = "sites")] symbols: &mut Symbols,
) {
    let (route, reason) = (finished.route, Reason::of_group(&finished.reasons));
    let (is_kept, is_typical) = (reason.is_some(), finished.is_typical);
    let lose = |why: &str| {
        if !is_kept {
            return;
        }
        shared.ring(Ring::lose);
        sinks.0.iter().for_each(|sink| sink.fail(why));
    };
    // A report takes more memory than its records, and an allocation that fails while it is built aborts.
    if !has_memory(finished.footprint.report_bytes()) {
        return lose("no memory for the report");
    }
    let built = unless_it_panics(|| {
        let report = report(shared, finished);
        // Without memory for that, they stay addresses.
        #[cfg(feature = "sites")]
        let report = if report.sites_not_recorded.is_some() && has_memory(LOOK_UP_BYTES) {
            report.resolved_by(symbols)
        } else {
            report
        };
        Arc::new(report)
    });
    let Some(report) = built else {
        // No such panic is known. If one happens, it costs one report and not all later ones.
        return lose("the report could not be built");
    };
    let bytes = bytes_of(&report);
    if is_typical {
        let report = Arc::clone(&report);
        shared.typical(|ring| ring.push(report, bytes, route, None));
    }
    if !is_kept {
        return;
    }
    let of_ring = Arc::clone(&report);
    shared.ring(|ring| ring.push(of_ring, bytes, route, reason));
    for sink in &sinks.0 {
        sink.offer(&report, bytes);
    }
}

/// The memory that it takes to look up functions and lines in large debug information.
#[cfg(feature = "sites")]
const LOOK_UP_BYTES: usize = 64 << 20;

/// Returns whether there is memory at this moment for what is about to be done, and to spare.
pub(crate) fn has_memory(bytes: usize) -> bool {
    const SPARE: usize = 256 << 10;
    let bytes = bytes.saturating_add(SPARE);
    Vec::<u8>::new().try_reserve_exact(bytes).is_ok()
}

fn report(shared: &Shared, finished: Finished) -> Report {
    let mut report = finished.trace.report();
    let compared = compare(shared, finished.route, &mut report, finished.wall);
    let mut outcome = finished.outcome;
    if let Outcome::Failed(why) = &mut outcome
        && let Some(said) = said_by_a_call(&report)
    {
        if why.is_empty() {
            said.clone_into(why);
        } else if finished.is_general {
            why.push_str(": ");
            why.push_str(said);
        }
    }
    let reasons = finished.reasons.iter().map(ToString::to_string).collect();
    report.request = Some(Box::new(Request {
        name: shared.routes.at(finished.route).name.clone(),
        id: finished.id.map(|id| id.to_string()),
        labels: finished.labels,
        wall: finished.wall,
        outcome,
        reasons,
        compared,
    }));
    report
}

/// Returns the message of a failed call: of an outermost one, or else of the first.
fn said_by_a_call(report: &Report) -> Option<&str> {
    let mut failed = report.calls.iter().filter_map(|call| match &call.outcome {
        Outcome::Failed(said) if !said.is_empty() => Some((call, &**said)),
        _ => None,
    });
    let outermost = failed.clone().find(|(call, _)| call.parent.is_none());
    Some(outermost.or_else(|| failed.next())?.1)
}
