//! What a wrapped subscriber allocates is in no call, and is one figure of the trace.

use std::cell::Cell;
use std::fmt;
use std::hint::black_box;
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use axum::extract::ConnectInfo;
use tower::ServiceExt;
use tracer::alloc::{Counts, exclude, measure};
use tracer::recorder::{Policy, Recorder};
use tracer::{Outcome, Report, Trace, call, traced};
use tracing::instrument::WithSubscriber;
use tracing::level_filters::LevelFilter;
use tracing::span::Id;
use tracing::subscriber::{NoSubscriber, with_default};
use tracing::{Dispatch, Event, Subscriber, debug, info, info_span, instrument, warn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::Context;
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry::{LookupSpan, Scope};
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

use crate::shown;

/// A writer that allocates for each line.
struct Sink;

struct Line(Vec<u8>);

impl<'a> MakeWriter<'a> for Sink {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line(Vec::new())
    }
}

impl io::Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend(bytes);
        black_box(&self.0);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A subscriber that writes a line for each event and for each span that is closed.
fn formatting() -> impl Subscriber + for<'a> LookupSpan<'a> + Send + Sync {
    let layer = tracing_subscriber::fmt::layer().with_span_events(FmtSpan::CLOSE);
    Registry::default().with(layer.with_writer(Sink))
}

/// The same without times, so that its lines have the same lengths each time.
fn steady() -> impl Subscriber + for<'a> LookupSpan<'a> + Send + Sync {
    let layer = tracing_subscriber::fmt::layer().with_span_events(FmtSpan::CLOSE);
    let layer = layer.without_time();
    Registry::default().with(layer.with_writer(Sink))
}

fn trace_of(work: impl FnOnce()) -> Report {
    let trace = Trace::new();
    let scope = trace.inject();
    work();
    drop(scope);
    trace.report()
}

/// Returns the report of the third run: in the first ones, the thread and the callsites are new, and the
/// registry makes its pages.
fn third(work: impl Fn()) -> Report {
    trace_of(&work);
    trace_of(&work);
    trace_of(&work)
}

/// Returns what the third run of this work allocates under a subscriber, outside of all traces.
fn measured(subscriber: impl Subscriber + Send + Sync, work: impl Fn()) -> Counts {
    with_default(subscriber, || {
        work();
        work();
        measure(&work).counts.unwrap()
    })
}

mod spans {
    use super::*;

    #[instrument]
    pub(super) fn leaf(size: usize) -> Vec<u8> {
        info!(size, "before");
        let leaf = black_box(vec![0; size]);
        info!("after {}", leaf.len());
        leaf
    }

    #[instrument(skip_all)]
    pub(super) fn outer() {
        let kept = leaf(100);
        warn!(kept = kept.len(), "half way");
        drop(leaf(1000));
        drop(black_box(vec![0_u8; 500]));
        drop(kept);
    }

    #[instrument(err)]
    pub(super) fn fails() -> Result<(), String> {
        drop(leaf(10));
        Err(black_box("broken pipe".to_owned()))
    }

    #[instrument(skip_all)]
    pub(super) async fn waits() -> usize {
        let kept = leaf(300);
        tokio::task::yield_now().await;
        info!("again");
        drop(leaf(20));
        kept.len()
    }
}

mod calls {
    use super::*;

    #[traced(size = size)]
    pub(super) fn leaf(size: usize) -> Vec<u8> {
        let leaf = black_box(vec![0; size]);
        let _ = leaf.len();
        leaf
    }

    #[traced]
    pub(super) fn outer() {
        let kept = leaf(100);
        drop(leaf(1000));
        drop(black_box(vec![0_u8; 500]));
        drop(kept);
    }

    #[traced(err)]
    pub(super) fn fails() -> Result<(), String> {
        drop(leaf(10));
        Err(black_box("broken pipe".to_owned()))
    }

    #[traced]
    pub(super) async fn waits() -> usize {
        let kept = leaf(300);
        tokio::task::yield_now().await;
        drop(leaf(20));
        kept.len()
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    futures_executor::block_on(future)
}

#[test]
fn functions_have_the_figures_that_they_have_without_a_subscriber() {
    let wrapped = tracer::tracing::subscriber(formatting().with(tracer::tracing::layer()));
    let of_spans = with_default(wrapped, || {
        third(|| {
            spans::outer();
            spans::fails().unwrap_err();
            block_on(spans::waits());
        })
    });
    let of_calls = third(|| {
        calls::outer();
        calls::fails().unwrap_err();
        block_on(calls::waits());
    });
    assert_eq!(shown(&of_spans), shown(&of_calls));
    assert_eq!(of_spans.total, of_calls.total);
    assert_eq!(of_spans.calls[0].total.unwrap().bytes_allocated, 1600);
    assert_eq!(of_spans.calls[0].peak_bytes, Some(1100));
    assert_eq!(of_calls.subscriber, None);
    assert!(of_spans.subscriber.unwrap().allocations > 20, "{of_spans}");
}

/// Opens spans and emits events, and allocates nothing itself.
fn work() {
    let outer = info_span!("outer", size = 1, late = tracing::field::Empty).entered();
    info!(size = 2, "an event");
    outer.record("late", "some text");
    for number in 0..3 {
        let _inner = info_span!("inner", number).entered();
        warn!("a warning");
    }
    drop(outer.exit());
    info!("last");
}

#[test]
fn the_subscribers_figure_is_what_it_allocates_without_the_layer() {
    let expected = measured(steady(), work);
    assert!(expected.allocations > 10, "{expected}");
    let wrapped = tracer::tracing::subscriber(steady().with(tracer::tracing::layer()));
    let report = with_default(wrapped, || third(work));
    assert_eq!(report.subscriber, Some(expected));
    assert_eq!(report.total, Some(Counts::ZERO));
    assert_eq!(report.calls.len(), 4);
    for call in &report.calls {
        assert_eq!((call.total, call.peak_bytes), (Some(Counts::ZERO), Some(0)));
    }
}

#[test]
fn without_the_wrapper_only_the_layers_own_memory_is_in_no_call() {
    let expected = measured(steady(), work);
    let subscriber = steady().with(tracer::tracing::layer());
    let report = with_default(subscriber, || {
        third(|| {
            let _around = call!("around");
            work();
        })
    });
    assert_eq!(report.subscriber, None);
    assert_eq!(report.total, Some(expected));
    assert_eq!(report.calls[0].total, Some(expected));
    let outer = report.calls[1].total.unwrap();
    assert!(outer.allocations > 5, "{outer}");
}

#[test]
fn a_subscriber_that_allocates_nothing_has_zero_and_the_next_trace_has_none() {
    let wrapped = tracer::tracing::subscriber(Registry::default().with(tracer::tracing::layer()));
    let report = with_default(wrapped, || third(work));
    assert_eq!(report.subscriber, Some(Counts::ZERO));
    // Their memory is used again.
    let later = [(); 8].map(|()| trace_of(|| call!("call").stop()));
    assert_eq!(later.map(|report| report.subscriber), [None; 8]);
}

/// Allocates whenever it is formatted, and counts how often it is.
struct Allocates(AtomicU64, usize);

impl fmt::Debug for Allocates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fetch_add(1, Relaxed);
        drop(black_box(vec![0_u8; self.1]));
        f.write_str("value")
    }
}

#[test]
fn what_a_value_allocates_while_it_is_formatted_is_the_subscribers() {
    let run = |size: usize| {
        let value = Allocates(AtomicU64::new(0), size);
        let wrapped = tracer::tracing::subscriber(steady().with(tracer::tracing::layer()));
        let work = || {
            let _span = info_span!("span", ?value).entered();
            info!(?value, "event");
        };
        let report = with_default(wrapped, || {
            third(|| {
                value.0.store(0, Relaxed);
                work();
            })
        });
        assert_eq!(report.total, Some(Counts::ZERO));
        assert_eq!(report.calls[0].total, Some(Counts::ZERO));
        (report.subscriber.unwrap(), value.0.load(Relaxed))
    };
    let (nothing, formatted) = run(0);
    let (counts, again) = run(1000);
    // By both layers, in the span and the event.
    assert!(formatted >= 4 && formatted == again);
    let more = counts - nothing;
    assert_eq!(
        (
            more.allocations,
            more.bytes_allocated,
            more.bytes_deallocated
        ),
        (formatted, 1000 * formatted, 1000 * formatted)
    );
}

#[test]
fn a_span_that_is_told_of_on_a_thread_without_a_trace_counts_in_its_own() {
    let wrapped = tracer::tracing::subscriber(steady().with(tracer::tracing::layer()));
    with_default(wrapped, || {
        third(work);
        let trace = Trace::new();
        let scope = trace.inject();
        let span = info_span!("span", late = tracing::field::Empty);
        span.in_scope(|| ());
        drop(scope);
        let before = trace.report().subscriber.unwrap();
        let ((), recorded) = tracer::alloc::exclude_counted(|| {
            span.record("late", "some text that does not fit in what there is");
        });
        // The wrapper has counted it.
        assert_eq!(recorded, Counts::ZERO);
        let after = trace.report().subscriber.unwrap();
        assert!((after - before).allocates() > 0, "{before}\n{after}");
        let inside = info_span!(parent: &span, "inside", number = 3);
        let created = trace.report().subscriber.unwrap();
        assert!((created - after).allocates() > 0, "{after}\n{created}");
        drop((inside, span));
        let closed = trace.report().subscriber.unwrap();
        assert!((closed - created).deallocations > 0, "{created}\n{closed}");
    });
}

const PATIENCE: Duration = Duration::from_secs(20);

/// Waits, when a root span is closed, until the recorder has made its report.
struct Waits(Recorder);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Waits {
    fn on_close(&self, id: Id, context: Context<'_, S>) {
        if context.span(&id).unwrap().parent().is_none() {
            assert!(exclude(|| self.0.flush(PATIENCE)));
        }
    }
}

#[test]
fn a_request_that_is_a_span_has_what_was_allocated_until_it_is_closed() {
    const LONG: Duration = Duration::from_secs(60 * 60);
    let policy = Policy::none().slowest(10, LONG);
    let recorder = Recorder::builder().policy(policy).start().unwrap();
    let request = || {
        let span = info_span!("request", otel.kind = "server", number = 7);
        span.in_scope(work);
    };
    let expected = measured(steady(), request);
    let layer = tracer::tracing::layer().recorder(recorder.clone());
    let subscriber = steady().with(layer).with(Waits(recorder.clone()));
    with_default(tracer::tracing::subscriber(subscriber), || {
        for _ in 0..3 {
            request();
        }
    });
    let kept = recorder.kept();
    assert_eq!(kept.len(), 3);
    let report = &kept[0];
    let counts = report.subscriber.unwrap();
    // The registry frees the span's data later.
    assert_eq!(
        (counts.allocates(), counts.bytes_allocated),
        (expected.allocates(), expected.bytes_allocated)
    );
    assert_eq!(report.total, Some(Counts::ZERO));

    let page = tracer::web::Page::new(recorder.clone()).unwrap();
    let peer = ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 1)));
    let get = axum::http::Request::get(format!("/page/trace/{}", report.trace))
        .header("host", "localhost")
        .header("authorization", format!("Bearer {}", page.token()))
        .extension(peer)
        .body(axum::body::Body::empty())
        .unwrap();
    let app = axum::Router::new().nest("/page", page.router());
    let page = tokio::runtime::Runtime::new().unwrap().block_on(async {
        let response = app.oneshot(get).await.unwrap();
        let body = response.into_body();
        axum::body::to_bytes(body, usize::MAX).await.unwrap()
    });
    let page = String::from_utf8_lossy(&page);
    let fact = format!("subscriber: <b>{} allocations (", counts.allocates());
    assert!(page.contains(&fact), "{fact}\n{page}");
}

/// Panics at each event whose level is `WARN`, after it has allocated.
struct Panics;

impl<S: Subscriber> Layer<S> for Panics {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() == tracing::Level::WARN {
            let _freed_by_the_panic = black_box(vec![0_u8; 5000]);
            std::panic::resume_unwind(Box::new(()));
        }
    }
}

#[test]
fn after_a_panic_of_a_layer_calls_are_counted_as_before() {
    let subscriber = Registry::default()
        .with(Panics)
        .with(tracer::tracing::layer());
    let wrapped = tracer::tracing::subscriber(subscriber);
    let report = with_default(wrapped, || {
        third(|| {
            let _span = info_span!("span").entered();
            let warns = || warn!("too much");
            assert!(catch_unwind(AssertUnwindSafe(warns)).is_err());
            let _after = info_span!("after").entered();
            drop(black_box(vec![0_u8; 100]));
        })
    });
    let [span, after] = &report.calls[..] else {
        panic!("{report}")
    };
    assert_eq!(
        (&span.outcome, &after.outcome),
        (&Outcome::Ok, &Outcome::Ok)
    );
    // The panic itself is freed by the program.
    assert_eq!(span.total.unwrap().allocates(), 1);
    let after = (after.total.unwrap(), after.peak_bytes);
    assert_eq!((after.0.bytes_allocated, after.1), (100, Some(100)));
    assert!(report.subscriber.unwrap().bytes_allocated >= 5000);
}

#[test]
fn layers_inside_are_found_by_downcasts() {
    let wrapped = tracer::tracing::subscriber(
        Registry::default()
            .with(Panics)
            .with(tracer::tracing::layer()),
    );
    let dispatch = Dispatch::new(wrapped);
    assert!(dispatch.is::<Panics>());
    assert!(dispatch.is::<Registry>());
    assert!(dispatch.is::<tracer::tracing::CallLayer>());
    assert!(!dispatch.is::<NoSubscriber>());
}

/// Returns the names of the calls, with the number of their checkpoints.
fn names(report: &Report) -> Vec<(String, usize)> {
    let calls = report.calls.iter();
    calls
        .map(|call| (call.name.to_string(), call.checkpoints.len()))
        .collect()
}

#[test]
fn a_filter_is_reloaded_while_spans_are_open() {
    let (filter, handle) = reload::Layer::new(EnvFilter::new("warn"));
    let subscriber = Registry::default().with(filter);
    let subscriber = subscriber.with(tracer::tracing::layer().checkpoints(LevelFilter::TRACE));
    let wrapped = tracer::tracing::subscriber(subscriber);
    assert_eq!(wrapped.max_level_hint(), Some(LevelFilter::WARN));
    let reloaded = Cell::new(None);
    let report = with_default(wrapped, || {
        trace_of(|| {
            let _outer = tracing::warn_span!("outer").entered();
            info!("hidden");
            let _hidden = info_span!("hidden").entered();
            let reload = || handle.reload(EnvFilter::new("debug")).unwrap();
            reloaded.set(measure(reload).counts);
            info!("shown");
            let _shown = tracing::debug_span!("shown").entered();
            debug!("shown");
            let hint = handle.with_current(EnvFilter::max_level_hint);
            assert_eq!(hint.unwrap(), Some(LevelFilter::DEBUG));
        })
    });
    let expected = [("outer", 1), ("shown", 1)];
    assert_eq!(
        names(&report),
        expected.map(|(name, checkpoints)| (name.to_owned(), checkpoints))
    );
    // The program makes the filter.
    assert_eq!(report.total, reloaded.get());
}

#[test]
fn a_future_runs_under_a_wrapped_subscriber_of_its_own() {
    let wrapped = tracer::tracing::subscriber(steady().with(tracer::tracing::layer()));
    let trace = Trace::new();
    let future = spans::waits().with_subscriber(wrapped);
    assert_eq!(block_on(trace.instrument(future)), 300);
    let report = trace.report();
    let expected = [("waits", 1), ("leaf", 2), ("leaf", 2)];
    assert_eq!(
        names(&report),
        expected.map(|(name, checkpoints)| (name.to_owned(), checkpoints))
    );
    assert!(report.subscriber.unwrap().allocations > 0);
}

#[test]
fn lines_of_log_are_the_subscribers() {
    let wrapped = tracer::tracing::subscriber(steady().with(tracer::tracing::layer()));
    // Also lets `log` tell `tracing`.
    let default = wrapped.set_default();
    let report = third(|| {
        let _span = info_span!("span").entered();
        log::info!("of log");
    });
    drop(default);
    assert_eq!(names(&report), [("span".to_owned(), 1)]);
    assert_eq!(report.total, Some(Counts::ZERO));
    assert!(report.subscriber.unwrap().allocations > 0);
}

/// Notes the spans in which events are, outermost first.
#[derive(Default)]
struct Scopes(Mutex<Vec<String>>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for &'static Scopes {
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let scope = context.event_scope(event).into_iter();
        let spans = scope.flat_map(Scope::from_root);
        let names: Vec<_> = spans.map(|span| span.name()).collect();
        self.0.lock().unwrap().push(names.join("/"));
    }
}

#[test]
fn a_layer_with_a_filter_stands_above_the_wrapper() {
    let scopes: &'static Scopes = Box::leak(Box::default());
    let wrapped = tracer::tracing::subscriber(steady().with(tracer::tracing::layer()));
    let subscriber = wrapped.with(scopes.with_filter(LevelFilter::INFO));
    let report = with_default(subscriber, || {
        trace_of(|| {
            let _outer = info_span!("outer").entered();
            let _hidden = tracing::debug_span!("hidden").entered();
            let _inner = info_span!("inner").entered();
            debug!("hidden");
            info!("shown");
        })
    });
    assert_eq!(*scopes.0.lock().unwrap(), ["outer/inner"]);
    assert_eq!(report.calls.len(), 3);
    // The layer above allocates in the call.
    assert!(report.calls[2].total.unwrap().allocations > 0);
    assert!(report.subscriber.unwrap().allocations > 0);
}
