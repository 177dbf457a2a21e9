//! Spans of `tracing` with allocation sites.

use std::hint::black_box;

use tokio::task::yield_now;
use tracer::alloc::Sites;
use tracer::report::SiteReport;
use tracer::{Report, Trace};
use tracing::{Instrument, info_span, instrument};

use crate::figures::check_sums;
use crate::{subscriber, workers};

#[inline(never)]
fn block(bytes: usize) -> Vec<u8> {
    black_box(vec![1; bytes])
}

#[instrument]
#[inline(never)]
fn load(bytes: usize) {
    drop(block(bytes));
    let span = info_span!("parse");
    let entered = span.enter();
    drop(block(2 * bytes));
    drop(entered);
}

#[instrument]
async fn handle(bytes: usize) {
    drop(block(bytes));
    yield_now().await;
    load(10 * bytes);
    drop(block(1));
}

fn recorded(work: impl Future<Output = ()> + Send + 'static) -> Report {
    let trace = Trace::builder().sites(Sites::exact()).build();
    let runtime = workers(subscriber());
    let task = runtime.spawn(Trace::instrument(&trace, work));
    runtime.block_on(task).unwrap();
    trace.report().resolved()
}

/// Returns the bytes of each site with the functions of this file, the innermost first, for calls of each name.
fn shown(report: &Report, name: &str) -> Vec<String> {
    let calls = report.calls.iter().filter(|call| call.name == name);
    let sites = calls.flat_map(|call| call.sites.as_ref().unwrap());
    let show = |site: &SiteReport| {
        let functions = site.frames.iter().filter_map(|frame| {
            let function = frame
                .function
                .as_deref()?
                .strip_prefix("tracing::sites::")?;
            Some(function.split("::").next()?.to_owned())
        });
        let mut functions: Vec<_> = functions.collect();
        functions.dedup();
        format!("{}: {}", site.bytes_allocated, functions.join(" in "))
    };
    // Tokio may have allocated in a call, too.
    sites
        .map(show)
        .filter(|it| it.contains(": block"))
        .collect()
}

#[test]
fn spans_have_the_lines_of_their_functions() {
    let report = recorded(async {
        handle(10).await;
        let span = info_span!("spawned");
        tokio::spawn(handle(7).instrument(span)).await.unwrap();
    });
    check_sums(&report);
    assert_eq!(
        shown(&report, "handle"),
        [
            "10: block in handle",
            "1: block in handle",
            "7: block in handle",
            "1: block in handle"
        ]
    );
    let loads = ["100: block in load", "70: block in load"];
    assert_eq!(shown(&report, "load"), loads);
    // The name of the span is not that of the function, so nothing further out is left out.
    let parsed = shown(&report, "parse");
    for (site, start) in parsed.iter().zip([200, 140]) {
        let start = format!("{start}: block in load in handle");
        assert!(site.starts_with(&start), "{site}");
    }
}
