//! Once warm, tracing a request allocates nothing, not even the tracer's own memory.

// Not that of the crate itself, which records lines: that is overhead.
use alloc_counter::Budget;
use tracer::alloc::process;
use tracer::{Limits, Trace, call};
use tracing_subscriber::layer::SubscriberExt;

fn leaf(id: &str) {
    let call = call!("{id}", rows = 3);
    call.checkpoint("begun");
    call.fail("not really");
}

fn branch(depth: u32) {
    let call = call!();
    call.checkpoint("half");
    if depth > 0 {
        branch(depth - 1);
        leaf("ca7a87c4-58d0-4fdf-857c-ef49fc3bf271");
    }
}

/// A request of ten calls and more than six checkpoints.
fn request() {
    let trace = Trace::new();
    let scope = trace.inject();
    branch(4);
    call!().stop();
    drop(scope);
    assert!(!trace.is_empty());
}

pub(crate) fn a_warm_request_allocates_nothing() {
    request();
    let overhead = process().unwrap().overhead;
    Budget::none().assert(|| (0..1000).for_each(|_| request()));
    assert_eq!(process().unwrap().overhead, overhead);

    // A request with work in futures also allocates nothing.
    let traced = || {
        let trace = Trace::new();
        let _scope = trace.inject();
        let _call = call!();
        let mut future = std::pin::pin!(tracer::fetch().instrument(async {
            call!("in a future").instrument(async { leaf("id") }).await;
        }));
        let waker = std::task::Waker::noop();
        let mut context = std::task::Context::from_waker(waker);
        assert!(future.as_mut().poll(&mut context).is_ready());
    };
    traced();
    let overhead = process().unwrap().overhead;
    Budget::none().assert(|| (0..1000).for_each(|_| traced()));
    assert_eq!(process().unwrap().overhead, overhead);

    // A long trace that has reached its limits of calls and strands also allocates nothing.
    let trace = Trace::with_limits(10, Limits::default().calls(100).strands(10));
    let in_one_trace = || {
        let _scope = trace.inject();
        branch(4);
    };
    (0..100).for_each(|_| in_one_trace());
    let overhead = process().unwrap().overhead;
    Budget::none().assert(|| (0..1000).for_each(|_| in_one_trace()));
    assert_eq!(process().unwrap().overhead, overhead);
    let folded: u64 = trace.report().folded.iter().map(|it| it.calls).sum();
    assert_eq!(folded, 1090 * 9);

    // So does a request whose calls are spans, with a registry that is warm, too.
    let subscriber = tracing_subscriber::registry().with(tracer::tracing::layer());
    tracing::subscriber::with_default(subscriber, || {
        request_of_spans();
        let overhead = process().unwrap().overhead;
        Budget::none().assert(|| (0..1000).for_each(|_| request_of_spans()));
        assert_eq!(process().unwrap().overhead, overhead);
    });
}

fn request_of_spans() {
    let trace = Trace::new();
    let scope = trace.inject();
    let root = tracing::info_span!("root", request_id = "ca7a87c4", rows = 3).entered();
    tracing::info!(half = true, "begun");
    for _ in 0..2 {
        let span = tracing::info_span!("leaf");
        span.in_scope(|| tracing::info!("once"));
        span.in_scope(|| ());
    }
    drop(root);
    drop(scope);
    assert!(!trace.is_empty());
}
