//! Lives of spans that subscribers find hard: other dispatchers, filters, leaked guards, ending threads.

use std::cell::RefCell;
use std::mem::forget;

use tracer::tracing::layer;
use tracer::{Limits, Outcome, Report, Trace};
use tracing::dispatcher::{set_default, with_default};
use tracing::level_filters::LevelFilter;
use tracing::{Dispatch, Span, debug_span, info_span, instrument};
use tracing_subscriber::filter::{EnvFilter, Targets, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry, registry, reload};

use crate::{allocate, recorded, recorded_by, subscriber, tree};

fn dispatch() -> Dispatch {
    Dispatch::new(subscriber())
}

/// Runs work in a trace, with the registry's memory for this thread made ready.
fn recorded_under(dispatch: &Dispatch, work: impl FnOnce()) -> Report {
    let trace = Trace::new();
    with_default(dispatch, || {
        let spans: Vec<_> = (0..64).map(|_| info_span!("warm")).collect();
        let entered: Vec<_> = spans.iter().map(Span::enter).collect();
        drop(entered);
        let _scope = trace.inject();
        work();
    });
    trace.report()
}

#[test]
fn two_dispatchers_with_a_layer_each() {
    let (first, second) = (dispatch(), dispatch());
    recorded_under(&second, || ());
    let report = recorded_under(&first, || {
        // Both registries give the same ids.
        let _outer = info_span!("first").entered();
        with_default(&second, || {
            let _inner = info_span!("second").entered();
            drop(allocate(1));
        });
        let _inner = info_span!("third").entered();
        drop(allocate(1));
    });
    assert_eq!(tree(&report), "first 2\n  second 1\n  third 1\n");
}

#[test]
fn left_and_closed_under_another_dispatcher() {
    let (first, second) = (dispatch(), dispatch());
    recorded_under(&second, || ());
    let report = recorded_under(&first, || {
        let span = info_span!("span");
        let entered = span.enter();
        drop(allocate(1));
        let default = set_default(&second);
        drop(entered);
        drop(allocate(1));
        info_span!("other").in_scope(|| drop(allocate(1)));
        drop(span);
        drop(default);
        drop(allocate(1));
    });
    assert_eq!(tree(&report), "span 1\nother 1\n");
}

#[test]
fn a_scoped_subscriber_without_the_layer() {
    let (with, without) = (dispatch(), Dispatch::new(registry()));
    let report = recorded_under(&with, || {
        let _outer = info_span!("outer").entered();
        with_default(&without, || {
            let spans: Vec<_> = (0..64).map(|_| info_span!("hidden")).collect();
            drop(spans[0].enter());
        });
        let _inner = info_span!("inner").entered();
    });
    let names: Vec<_> = report.calls.iter().map(|call| &*call.name).collect();
    assert_eq!(names, ["outer", "inner"]);
    let report = recorded_under(&without, || {
        info_span!("hidden").in_scope(|| tracing::info!(error = "not seen", "event"));
    });
    assert!(report.calls.is_empty());
}

#[test]
fn the_spans_inside_a_filtered_one_are_inside_what_is_around() {
    let work = || {
        let outer = info_span!("outer").entered();
        let hidden = info_span!("hidden").entered();
        drop(allocate(1));
        info_span!("inner").in_scope(|| drop(allocate(1)));
        info_span!(parent: &hidden, "explicit").in_scope(|| drop(allocate(1)));
        drop((hidden, outer));
    };
    let is_shown = filter_fn(|it| it.name() != "hidden");
    let filtered = Dispatch::new(registry().with(layer().with_filter(is_shown)));
    let is_shown = filter_fn(|it| it.name() != "hidden");
    let beside = registry().with(tracing_subscriber::layer::Identity::new());
    let beside = Dispatch::new(beside.with(layer().with_filter(is_shown)));
    let is_shown = filter_fn(|it| it.name() != "hidden");
    let globally = Dispatch::new(registry().with(layer()).with(is_shown));
    for dispatch in [filtered, beside, globally] {
        let shown = tree(&recorded_under(&dispatch, work));
        assert_eq!(shown, "outer 3\n  inner 1\n  explicit 1\n");
    }
}

/// A task's span whose explicit parent is hidden from the layer.
#[test]
fn a_filtered_parent_on_another_thread() {
    let is_shown = filter_fn(|it| it.name() != "hidden");
    // Another layer sees it.
    let all = registry().with(tracing_subscriber::layer::Identity::new());
    let dispatch = Dispatch::new(all.with(layer().with_filter(is_shown)));
    let report = recorded_under(&dispatch, || {
        let _outer = info_span!("outer").entered();
        let hidden = info_span!("hidden");
        assert!(hidden.id().is_some());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                with_default(&dispatch, || {
                    info_span!(parent: &hidden, "inner").in_scope(|| ());
                });
            });
        });
    });
    let parents: Vec<_> = report
        .calls
        .iter()
        .map(|it| (&*it.name, it.parent))
        .collect();
    assert_eq!(parents, [("outer", None), ("inner", Some(0))]);
}

#[test]
fn filters_by_target_and_level() {
    let targets = Targets::new().with_target("shown", LevelFilter::INFO);
    let dispatch = Dispatch::new(registry().with(layer().with_filter(targets)));
    let report = recorded_under(&dispatch, || {
        info_span!(target: "hidden", "outer").in_scope(|| {
            debug_span!(target: "shown", "verbose").in_scope(|| {
                info_span!(target: "shown", "inner").in_scope(|| drop(allocate(1)));
            });
        });
    });
    assert_eq!(tree(&report), "inner 1\n");
}

#[test]
fn a_filter_that_changes_while_spans_are_open() {
    let (filter, handle) = reload::Layer::new(EnvFilter::new("info"));
    let of_layer = Dispatch::new(registry().with(layer().with_filter(filter)));
    let (filter, global) = reload::Layer::new(EnvFilter::new("info"));
    let of_all = Dispatch::new(registry().with(filter).with(layer()));
    let of_layer = (of_layer, &mut |to: &str| {
        handle.reload(EnvFilter::new(to)).unwrap();
    });
    let of_all = (of_all, &mut |to: &str| {
        global.reload(EnvFilter::new(to)).unwrap();
    });
    let work = |set: &mut dyn FnMut(&str)| {
        let span = info_span!("open");
        let entered = span.enter();
        alloc_excluded(|| set("off"));
        drop(allocate(1));
        info_span!("hidden").in_scope(|| drop(allocate(1)));
        drop(entered);
        drop(allocate(1));
        span.in_scope(|| drop(allocate(1)));
        alloc_excluded(|| set("info"));
        info_span!("shown").in_scope(|| drop(allocate(1)));
        span.in_scope(|| drop(allocate(1)));
    };
    // A filter of another type for each.
    let (dispatch, set) = of_layer;
    let report = recorded_under(&dispatch, || work(set));
    assert_eq!(tree(&report), "open 4\nshown 1\n");
    let (dispatch, set) = of_all;
    let report = recorded_under(&dispatch, || work(set));
    assert_eq!(tree(&report), "open 4\nshown 1\n");
}

/// Runs what is no part of the program.
fn alloc_excluded(work: impl FnOnce()) {
    tracer::alloc::exclude(work);
}

#[test]
fn the_layer_may_be_anywhere() {
    let (in_reload, _handle) = reload::Layer::new(layer());
    let boxed: Vec<Box<dyn Layer<Registry> + Send + Sync>> = vec![layer().boxed()];
    let identity = tracing_subscriber::layer::Identity::new;
    let dispatches = [
        Dispatch::new(registry().with(boxed)),
        Dispatch::new(registry().with(Some(layer()))),
        Dispatch::new(registry().with(in_reload)),
        Dispatch::new(registry().with(identity().and_then(layer()))),
        Dispatch::new(registry().with(layer().and_then(identity()))),
        Dispatch::new(registry().with(layer()).with(None::<LevelFilter>)),
    ];
    for dispatch in dispatches {
        let report = recorded_under(&dispatch, || {
            info_span!("outer").in_scope(|| {
                info_span!("inner", id = 7).in_scope(|| drop(allocate(1)));
            });
        });
        assert_eq!(tree(&report), "outer 1\n  inner 1\n");
        assert_eq!(report.calls[1].id.as_deref(), Some("7"));
    }
    let none = Dispatch::new(registry().with(None::<tracer::tracing::CallLayer>));
    assert!(
        recorded_under(&none, || info_span!("span").in_scope(|| ()))
            .calls
            .is_empty()
    );
}

fn check_two_layers(dispatch: &Dispatch, number: usize) {
    let report = recorded_under(dispatch, || {
        let span = info_span!("outer");
        let entered = span.enter();
        info_span!("inner").in_scope(|| tracing::info!("event"));
        drop(entered);
    });
    assert_eq!(tree(&report), "outer 0\n  inner 0\n", "{number}");
    assert_eq!(report.calls[1].checkpoints.len(), 1, "{number}");
}

#[test]
fn the_second_of_two_layers_does_nothing() {
    let (in_reload, _handle) = reload::Layer::new(layer());
    let filtered = layer().with_filter(LevelFilter::INFO);
    let dispatches = [
        Dispatch::new(registry().with(layer()).with(layer())),
        Dispatch::new(registry().with(layer()).with(Some(layer()))),
        Dispatch::new(registry().with(filtered).with(layer())),
        Dispatch::new(registry().with(layer().and_then(layer()))),
        Dispatch::new(registry().with(layer().and_then(layer()).and_then(layer()))),
        Dispatch::new(registry().with(in_reload).with(layer())),
    ];
    for (number, dispatch) in dispatches.iter().enumerate() {
        check_two_layers(dispatch, number);
    }
}

/// A `Vec` does not tell its layers of the dispatcher, so they don't know of each other.
#[test]
fn two_layers_in_a_vec_both_make_calls() {
    let boxed: Vec<Box<dyn Layer<Registry> + Send + Sync>> = vec![layer().boxed(), layer().boxed()];
    let report = recorded_under(&Dispatch::new(registry().with(boxed)), || {
        info_span!("outer").in_scope(|| info_span!("inner").in_scope(|| drop(allocate(1))));
    });
    let expected = "outer 1\n  outer 1\n    inner 1\n      inner 1\n";
    assert_eq!(tree(&report), expected);
}

#[test]
fn a_span_that_follows_from_a_closed_one() {
    let report = recorded(|| {
        let id = info_span!("closed").id();
        let span = info_span!("span");
        span.follows_from(id.clone());
        span.in_scope(|| {
            Span::current().follows_from(id);
            drop(allocate(1));
        });
        span.follows_from(&span);
    });
    assert_eq!(report.calls.len(), 1);
}

#[test]
fn ids_are_used_again_after_their_spans_are_closed() {
    let report = recorded_by(subscriber(), || {
        for number in 0..3000 {
            let span = info_span!("span", id = number);
            if number % 3 > 0 {
                span.in_scope(|| ());
            }
        }
    });
    let ids: Vec<_> = report
        .calls
        .iter()
        .map(|call| call.id.as_deref().unwrap())
        .collect();
    let expected: Vec<_> = { 0..3000 }
        .filter(|it| it % 3 > 0)
        .map(|it| it.to_string())
        .collect();
    assert_eq!(ids, expected);
    assert!(
        report
            .calls
            .iter()
            .all(|call| call.outcome == Outcome::Ok && !call.partial)
    );
}

#[test]
fn leaked_guards_leave_other_spans_exact() {
    let dispatch = dispatch();
    let report = recorded_under(&dispatch, || {
        info_span!("outer").in_scope(|| {
            let leaked = info_span!("leaked");
            forget(leaked.enter());
            drop(allocate(1));
            drop(leaked);
            drop(allocate(1));
            info_span!("inner").in_scope(|| drop(allocate(1)));
        });
        info_span!("after").in_scope(|| drop(allocate(1)));
    });
    assert_eq!(tree(&report), "outer 3\n  leaked 1\n  inner 1\nafter 1\n");
    // Of spans from outside of all traces, too.
    for has_trace in [true, false] {
        let outside = with_default(&dispatch, || {
            (0..10_000)
                .map(|_| info_span!("leaked"))
                .collect::<Vec<_>>()
        });
        let trace = Trace::new();
        with_default(&dispatch, || {
            let scope = trace.inject();
            for outside in outside {
                let span = if has_trace {
                    info_span!("leaked")
                } else {
                    outside
                };
                forget(span.enter());
            }
            drop(scope);
        });
    }
    let report = recorded_under(&dispatch, || info_span!("after").in_scope(|| ()));
    assert_eq!((tree(&report), report.dropped), ("after 0\n".to_owned(), 0));
}

#[test]
fn a_leaked_span_is_not_running_after_its_scope() {
    let report = recorded(|| {
        let span = info_span!("span");
        forget(span.enter());
        forget(span);
    });
    assert_eq!(report.calls.len(), 1);
    assert!(report.calls[0].outcome != Outcome::Panicked);
    // The thread goes on as if nothing had been.
    let report = recorded(|| info_span!("after").in_scope(|| ()));
    assert_eq!(tree(&report), "after 0\n");
}

#[test]
fn spans_outlive_their_subscriber() {
    let trace = Trace::new();
    let scope = trace.inject();
    let (kept, entered) = with_default(&dispatch(), || {
        (info_span!("kept"), info_span!("entered").entered())
    });
    drop(allocate(1));
    kept.in_scope(|| drop(allocate(1)));
    drop((kept, entered));
    drop(scope);
    let report = trace.report();
    let calls: Vec<_> = report
        .calls
        .iter()
        .map(|it| (&*it.name, &it.outcome))
        .collect();
    assert_eq!(calls, [("entered", &Outcome::Ok), ("kept", &Outcome::Ok)]);
    assert_eq!(report.calls[1].total.unwrap().allocations, 1);
}

#[test]
fn left_while_another_strand_is_current() {
    let other = Trace::new();
    let trace = Trace::new();
    with_default(&dispatch(), || {
        let _scope = trace.inject();
        for inner in [&trace, &other] {
            let span = info_span!("left");
            let entered = span.enter();
            drop(allocate(1));
            let scope = inner.inject();
            drop(entered);
            drop(allocate(1));
            drop(scope);
            drop(allocate(1));
            info_span!("after").in_scope(|| drop(allocate(1)));
            span.in_scope(|| drop(allocate(1)));
        }
    });
    // What ran in the strand that was entered inside the span is below it, also after it was left.
    let shown = tree(&trace.report());
    let names: Vec<_> = shown
        .lines()
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    assert_eq!(names, ["left", "after", "left", "after"]);
    assert!(shown.ends_with("left 2\nafter 1\n"), "{shown}");
    assert!(!shown.contains("partial"), "{shown}");
}

#[test]
fn a_span_whose_strand_nobody_runs_gets_one_below_its_call() {
    let trace = Trace::new();
    with_default(&dispatch(), || {
        let scope = trace.inject();
        let outer = info_span!("outer");
        drop(scope);
        let (middle, inner) = outer.in_scope(|| {
            let middle = info_span!("middle");
            let inner = middle.in_scope(|| info_span!("inner"));
            middle.in_scope(|| inner.in_scope(|| ()));
            (middle, inner)
        });
        inner.in_scope(|| drop(allocate(1)));
        drop(allocate(1));
        middle.in_scope(|| {
            drop(allocate(1));
            tracing::info!(error = "broken pipe");
        });
    });
    let shown = tree(&trace.report());
    assert_eq!(shown, "outer 2\n  middle 2 failed\n    inner 1\n");
}

#[test]
fn an_event_of_a_span_that_has_no_call_yet() {
    let report = recorded(|| {
        let span = info_span!("span");
        for error in ["first", "last"] {
            tracing::debug!(parent: &span, error, "an event");
        }
        span.in_scope(|| ());
    });
    let failed = Outcome::Failed("last".to_owned());
    assert_eq!((report.calls.len(), &report.calls[0].outcome), (1, &failed));
}

#[test]
fn a_span_whose_strand_was_left_has_stopped() {
    let trace = Trace::new();
    with_default(&dispatch(), || {
        let scope = trace.inject();
        let span = info_span!("span");
        let entered = span.enter();
        drop(allocate(1));
        drop(scope);
        drop(allocate(1));
        drop(entered);
        let scope = trace.inject();
        drop(allocate(1));
        drop(scope);
    });
    let report = trace.report();
    assert_eq!(tree(&report), "span 1 partial\n");
}

/// The strand is that of the first span, and is left with it: the span inside is marked, and what is
/// entered in it from then on is in no trace.
#[test]
fn the_first_span_of_a_thread_is_left_before_one_inside() {
    let dispatch = dispatch();
    let trace = Trace::new();
    let outer = with_default(&dispatch, || {
        let _scope = trace.inject();
        info_span!("outer")
    });
    recorded_under(&dispatch, || ());
    with_default(&dispatch, || {
        let first = outer.enter();
        let inner = info_span!("inner").entered();
        drop(first);
        info_span!("leaf").in_scope(|| drop(allocate(1)));
        drop(inner);
        drop(outer);
    });
    assert_eq!(tree(&trace.report()), "outer 0\n  inner 0 partial\n");
}

#[instrument(skip_all)]
fn leaf(id: usize) {
    drop(allocate(id % 7 + 1));
}

#[test]
fn ten_thousand_spans_at_once() {
    let trace = Trace::with_limits(10, Limits::default().calls(30_000));
    with_default(&dispatch(), || {
        let _scope = trace.inject();
        let spans: Vec<_> = (0..10_000).map(|id| info_span!("span", id)).collect();
        for (id, span) in spans.iter().enumerate() {
            span.in_scope(|| leaf(id));
        }
        for span in spans.iter().rev() {
            span.in_scope(|| ());
        }
    });
    let report = trace.report();
    assert_eq!(report.calls.len(), 20_000);
    for (number, pair) in report.calls.chunks(2).enumerate() {
        assert_eq!(pair[0].id, Some(number.to_string()));
        assert_eq!(pair[1].parent, Some(2 * number));
        assert_eq!(pair[1].total.unwrap().allocations, 1);
        assert!(!pair[0].partial);
    }
}

#[test]
fn two_thousand_spans_deep() {
    const DEPTH: usize = 2000;
    let trace = Trace::new();
    with_default(&dispatch(), || {
        let _scope = trace.inject();
        let mut entered = Vec::new();
        for id in 0..DEPTH {
            entered.push(info_span!("span", id).entered());
        }
        drop(allocate(1));
        while entered.pop().is_some() {}
    });
    let report = trace.report();
    assert_eq!((report.calls.len(), report.dropped), (DEPTH, 0));
    for (number, call) in report.calls.iter().enumerate() {
        assert_eq!(call.parent, number.checked_sub(1));
        assert_eq!((call.partial, &call.outcome), (false, &Outcome::Ok));
    }
}

thread_local! {
    static LATE: RefCell<Late> = const {
        RefCell::new(Late {
            spans: Vec::new(),
            enters: false,
        })
    };
}

/// Drops its spans in the thread's last moments.
struct Late {
    spans: Vec<Span>,
    enters: bool,
}

impl Drop for Late {
    fn drop(&mut self) {
        for span in self.spans.iter().filter(|_| self.enters) {
            span.in_scope(|| drop(allocate(1)));
            forget(span.enter());
        }
        self.spans.clear();
    }
}

#[test]
fn spans_in_the_last_moments_of_a_thread() {
    let dispatch = dispatch();
    // A registry can't enter spans once its own thread-locals are gone, which were made after this one.
    for enters in [true, false] {
        let trace = Trace::new();
        let traced = trace.clone();
        let on_thread = dispatch.clone();
        let thread = std::thread::spawn(move || {
            let keep = |spans| {
                LATE.with_borrow_mut(|late| {
                    late.spans = spans;
                    late.enters = enters;
                });
            };
            if !enters {
                keep(Vec::new());
            }
            with_default(&on_thread, || {
                let scope = traced.inject();
                let span = info_span!("used");
                let entered = span.enter();
                let never = info_span!("late");
                drop(entered);
                drop(scope);
                forget(span.enter());
                keep(vec![span, never, info_span!("inner")]);
            });
        });
        thread.join().unwrap();
        let report = trace.report();
        let names: Vec<_> = report.calls.iter().map(|call| &*call.name).collect();
        let late: &[_] = if enters { &["late", "inner"] } else { &[] };
        assert_eq!(names, [&["used"], late].concat());
    }
}

/// More than there are places for on the first levels of the table of spans.
#[test]
fn thirty_thousand_spans_at_once() {
    const SPANS: u64 = 30_000;
    let limits = Limits::default().calls(30_000).text_bytes(1 << 20);
    let trace = Trace::with_limits(30_000, limits);
    with_default(&dispatch(), || {
        let _scope = trace.inject();
        let spans: Vec<_> = (0..SPANS)
            .map(|number| info_span!("span", number))
            .collect();
        for span in spans.iter().rev() {
            span.in_scope(|| drop(allocate(1)));
        }
        let (even, odd): (Vec<_>, Vec<_>) =
            { spans.into_iter().enumerate() }.partition(|(number, _)| number % 2 == 0);
        drop(even);
        for (_, span) in &odd {
            span.in_scope(|| drop(allocate(1)));
        }
    });
    let report = trace.report();
    assert_eq!((report.calls.len() as u64, report.dropped), (SPANS, 0));
    for (call, number) in report.calls.iter().zip((0..SPANS).rev()) {
        let visits = 1 + number % 2;
        assert_eq!(call.labels, [("number".into(), number.to_string())]);
        assert_eq!(call.total.unwrap().allocations, visits, "{number}");
        assert_eq!(call.outcome, Outcome::Ok, "{number}");
    }
}
