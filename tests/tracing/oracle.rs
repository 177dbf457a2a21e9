//! A function under `#[instrument]` has the figures that it has under `#[traced]`.

use std::fmt::Write as _;
use std::hint::black_box;

use tracer::{CallReport, Report, Trace, traced};
use tracing::instrument;
use tracing_subscriber::Registry;
use tracing_subscriber::layer::SubscriberExt;

fn recorded(work: impl FnOnce()) -> Report {
    let trace = Trace::new();
    let subscriber = Registry::default().with(tracer::tracing::layer());
    tracing::subscriber::with_default(subscriber, || {
        let scope = trace.inject();
        work();
        drop(scope);
    });
    trace.report()
}

/// What does not depend on time.
fn shown(report: &Report) -> String {
    let mut shown = String::new();
    for call in &report.calls {
        let CallReport {
            name,
            id,
            labels,
            parent,
            outcome,
            total,
            peak_bytes,
            partial,
            ..
        } = call;
        writeln!(
            shown,
            "{name} {id:?} {labels:?} in {parent:?}: {outcome:?} {total:?} peak {peak_bytes:?} {}",
            if *partial { "partial" } else { "" }
        )
        .unwrap();
    }
    shown
}

mod spans {
    use super::*;

    #[instrument]
    pub(super) fn leaf(size: usize) -> Vec<u8> {
        black_box(vec![0; size])
    }

    #[instrument(skip_all)]
    pub(super) fn outer() {
        let kept = leaf(100);
        drop(leaf(1000));
        drop(kept);
    }

    #[instrument(err)]
    pub(super) fn fails() -> Result<(), String> {
        drop(leaf(10));
        Err(black_box("broken pipe".to_owned()))
    }
}

mod calls {
    use super::*;

    #[traced(size = size)]
    pub(super) fn leaf(size: usize) -> Vec<u8> {
        black_box(vec![0; size])
    }

    #[traced]
    pub(super) fn outer() {
        let kept = leaf(100);
        drop(leaf(1000));
        drop(kept);
    }

    #[traced(err)]
    pub(super) fn fails() -> Result<(), String> {
        drop(leaf(10));
        Err(black_box("broken pipe".to_owned()))
    }
}

#[test]
fn functions_have_the_same_figures() {
    // What is made once for each thread.
    recorded(spans::outer);
    let of_spans = recorded(|| {
        spans::outer();
        spans::fails().unwrap_err();
    });
    let of_calls = recorded(|| {
        calls::outer();
        calls::fails().unwrap_err();
    });
    println!("{of_spans:#}");
    assert_eq!(shown(&of_spans), shown(&of_calls));
}
