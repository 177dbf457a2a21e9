//! The memory that a report and its parts take.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use crate::report::{
    CallReport, CheckpointReport, Compared, FoldedReport, Outcome, Report, Request, SiteReport,
};
use crate::sites::Frame;

type Name = Cow<'static, str>;

/// The two counts of an `Arc`.
const COUNTS: usize = 2 * size_of::<usize>();

/// Returns how many bytes a shared report takes.
pub(crate) fn bytes_of(report: &Report) -> usize {
    let of_calls: usize = report.calls.iter().map(of_call).sum();
    COUNTS
        + size_of::<Report>()
        + report.request.as_deref().map_or(0, of_request)
        + report.tracestate.as_ref().map_or(0, String::capacity)
        + report.calls.capacity() * size_of::<CallReport>()
        + of_calls
        + report.folded.capacity() * size_of::<FoldedReport>()
        + { report.folded.iter() }
            .map(|folded| folded.sites.as_ref().map_or(0, of_sites))
            .sum::<usize>()
        + report.sites.as_ref().map_or(0, of_sites)
        + of_frames(report)
}

fn of_request(request: &Request) -> usize {
    let of_reasons: usize = request.reasons.iter().map(String::capacity).sum();
    size_of::<Request>()
        + request.name.capacity()
        + request.id.as_ref().map_or(0, String::capacity)
        + of_labels(&request.labels)
        + of_outcome(&request.outcome)
        + request.reasons.capacity() * size_of::<String>()
        + of_reasons
}

fn of_call(call: &CallReport) -> usize {
    let names: usize = { call.checkpoints.iter() }
        .map(|checkpoint| checkpoint.name.memory_bytes())
        .sum();
    call.thread.name.as_ref().map_or(0, of_name)
        + call.id.as_ref().map_or(0, String::capacity)
        + of_labels(&call.labels)
        + of_outcome(&call.outcome)
        + call.compared.as_ref().map_or(0, |_| size_of::<Compared>())
        + call.checkpoints.capacity() * size_of::<CheckpointReport>()
        + names
        + call.sites.as_ref().map_or(0, of_sites)
}

fn of_sites(sites: &Vec<SiteReport>) -> usize {
    let of_lists = { sites.iter() }.map(|site| site.frames.capacity() * size_of::<Arc<Frame>>());
    sites.capacity() * size_of::<SiteReport>() + of_lists.sum::<usize>()
}

/// Returns the bytes of the frames, which the sites share.
fn of_frames(report: &Report) -> usize {
    let of_calls = report.calls.iter().flat_map(|call| &call.sites);
    let of_folded = report.folded.iter().flat_map(|folded| &folded.sites);
    let sites = of_calls.chain(of_folded).chain(&report.sites).flatten();
    let frames = sites.flat_map(|site| &site.frames);
    let different: HashMap<_, _> = frames.map(|frame| (Arc::as_ptr(frame), frame)).collect();
    let of_each = different.values().map(|frame| {
        let texts = [&frame.function, &frame.file].into_iter().flatten();
        COUNTS + size_of::<Frame>() + texts.map(String::capacity).sum::<usize>()
    });
    of_each.sum()
}

pub(super) fn of_labels(labels: &Vec<(Name, String)>) -> usize {
    let of_texts: usize = { labels.iter() }
        .map(|(name, value)| of_name(name) + value.capacity())
        .sum();
    labels.capacity() * size_of::<(Name, String)>() + of_texts
}

fn of_name(name: &Name) -> usize {
    match name {
        Name::Borrowed(_) => 0,
        Name::Owned(name) => name.capacity(),
    }
}

pub(super) fn of_outcome(outcome: &Outcome) -> usize {
    match outcome {
        Outcome::Failed(message) => message.capacity(),
        _ => 0,
    }
}
