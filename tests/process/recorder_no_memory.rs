//! A service that runs out of memory while it handles requests: requests that can't be recorded are
//! counted, and the process continues.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::hint::black_box;
use std::pin::pin;
use std::sync::{Arc, Barrier};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use axum::http::{Request, Response};
use http_body_util::Empty;
use tower::{Layer, Service};
use tracer::recorder::{Arming, Policy, Recorder};
use tracer::tower::RecorderLayer;
use tracer::{Outcome, call};

use super::alone_within;

const PATIENCE: Duration = Duration::from_secs(30);
/// The number of requests before memory runs out, then after.
const BEFORE: u64 = 50;
const DURING: u64 = 200;

pub(crate) fn what_can_not_be_recorded_is_counted() {
    let mut without = alone_within("-v 400000", "recorder_no_memory::without_memory");
    assert!(without.status().unwrap().success());
}

fn request(recorder: &Recorder, name: &str, number: u64) {
    let mut recording = recorder.begin(name);
    recording.id(number);
    recording.label("number", number);
    let _scope = recording.inject();
    let call = call!("{number}");
    call.checkpoint("in the middle");
    match number % 4 {
        0 => call.fail("a call that failed"),
        1 => recording.fail("a request that failed"),
        2 => recording.outcome(Outcome::Cancelled),
        _ => {}
    }
    drop(call);
}

/// Records a request with an id and labels that do not fit into it, and a new name.
fn long_request(recorder: &Recorder, names: &[String], number: usize) {
    let mut recording = recorder.begin(&names[number]);
    recording.id(&names[number]);
    for name in names {
        recording.label("a label", name);
    }
    recording.fail(&names[number]);
}

type Body = Empty<&'static [u8]>;

/// A service that needs no memory.
#[derive(Clone)]
struct Answers;

impl Service<Request<Body>> for Answers {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        call!().stop();
        ready(Ok(Response::new(Body::new())))
    }
}

fn exchange(layer: &RecorderLayer, request: Request<Body>) {
    let mut service = layer.layer(Answers);
    let future = pin!(service.call(request));
    let polled = future.poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(polled, Poll::Ready(Ok(_))));
}

/// Takes all memory, in ever smaller pieces, into `pieces`.
fn take_all(pieces: &mut Vec<Vec<u8>>) {
    let mut size = 16 << 20;
    while size >= 16 && pieces.len() < pieces.capacity() {
        let mut piece = Vec::new();
        if piece.try_reserve_exact(size).is_ok() {
            pieces.push(black_box(piece));
        } else {
            size /= 2;
        }
    }
}

fn room_for_pieces() -> Vec<Vec<u8>> {
    Vec::with_capacity(400_000)
}

/// Returns the sum of a metric over all labels.
fn sum(metrics: &str, name: &str) -> u64 {
    let samples = metrics.lines().filter_map(|line| line.strip_prefix(name));
    let samples = samples.filter(|it| it.starts_with('{'));
    samples
        .map(|it| it.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
        .sum()
}

pub(crate) fn without_memory() {
    let policy = Policy::default().when("all", |_| true);
    // As many as there are requests.
    let arming = Arming::by_hand()
        .requests(u32::MAX)
        .requests_per_minute(u32::MAX);
    let recorder = Recorder::builder()
        .policy(policy)
        .arm(arming)
        .start()
        .unwrap();
    assert!(recorder.arm("job") && recorder.arm("another job"));
    let layer = RecorderLayer::new(recorder.clone());
    let mut requests: Vec<_> = (0..BEFORE + DURING)
        .map(|_| Request::new(Body::new()))
        .collect();
    for number in 0..BEFORE {
        request(&recorder, "job", number);
        exchange(&layer, requests.pop().unwrap());
    }
    assert!(recorder.flush(PATIENCE));
    let kept = recorder.statistics().kept;
    assert_eq!(kept, 2 * BEFORE);

    // Threads that have recorded nothing yet, and one that has.
    let names: Arc<[String]> = (0..40).map(|it| format!("{it:>300}")).collect();
    let barrier = Arc::new(Barrier::new(4));
    let threads = [false, true, false].map(|is_warm| {
        let (recorder, names) = (recorder.clone(), Arc::clone(&names));
        let barrier = Arc::clone(&barrier);
        let mut pieces = room_for_pieces();
        let thread = std::thread::Builder::new().name(format!("warm: {is_warm}"));
        let work = move || {
            if is_warm {
                request(&recorder, "warm", 3);
            }
            barrier.wait();
            // The main thread takes all memory.
            barrier.wait();
            take_all(&mut pieces);
            barrier.wait();
            for number in 0..DURING {
                request(&recorder, "job", number);
                request(&recorder, "another job", number);
            }
            for number in 0..names.len() {
                long_request(&recorder, &names, number);
            }
            barrier.wait();
            drop(pieces);
        };
        thread.spawn(work).unwrap()
    });
    let mut pieces = room_for_pieces();
    barrier.wait();
    take_all(&mut pieces);
    barrier.wait();
    barrier.wait();
    for number in 0..DURING {
        request(&recorder, "job", number);
        exchange(&layer, requests.pop().unwrap());
    }
    barrier.wait();
    drop(pieces);
    for thread in threads {
        thread.join().unwrap();
    }

    // There is memory again.
    for number in 0..BEFORE {
        request(&recorder, "job", number);
    }
    assert!(recorder.flush(PATIENCE));
    let it = recorder.statistics();
    let of_threads = 3 * (2 * DURING + names.len() as u64) + 1;
    let all = 2 * BEFORE + 2 * DURING + of_threads + BEFORE;
    assert_eq!((it.ended, it.in_flight, it.not_kept), (all, 0, 0));
    assert_eq!(it.kept + it.dropped, all);
    assert!(it.dropped > 0, "there was no memory: {it:?}");
    // Those before and after, and none if there is no memory for their sites.
    let armed = it.arming.requests;
    assert!((2 * BEFORE..all - DURING).contains(&armed), "{it:?}");
    let routes: u64 = recorder.routes().iter().map(|it| it.ended).sum();
    assert_eq!(routes, all);
    assert!(recorder.in_flight().is_empty());
    let metrics = tracer::metrics::encode(&recorder);
    assert_eq!(sum(&metrics, "tracer_requests_total"), all);
    assert_eq!(sum(&metrics, "tracer_requests_dropped_total"), it.dropped);
    let unknown = metrics
        .lines()
        .filter(|it| it.contains("outcome=\"unknown\""));
    let unknown = unknown.collect::<Vec<_>>().join("\n");
    let measured = sum(&metrics, "tracer_request_duration_seconds_count");
    assert_eq!(measured + sum(&unknown, "tracer_requests_total"), all);
    let last = &recorder.kept()[0];
    assert_eq!(last.request.as_ref().unwrap().id.as_deref(), Some("49"));
    assert_eq!(last.calls[0].id.as_deref(), Some("49"));
}
