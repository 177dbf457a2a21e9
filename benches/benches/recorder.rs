//! The cost of a recorder on the request's thread, for a request of ten calls that is not kept. It
//! includes the baseline.

use std::convert::Infallible;
use std::hint::black_box;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderValue, Request, Response};
use tower::{Layer, Service, service_fn};
use tracer::recorder::{Policy, Recorder, Recording};
use tracer::tower::RecorderLayer;
use tracer::{Counting, Trace, call};
use tracer_benches::Race;
use tracer_benches::requests::answer;

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();

/// Requests that end one after the other; their records stay in the processor's cache.
const REQUESTS: u64 = 8;

/// Ten calls: one outermost, six in it, three in those.
fn work() {
    let _handle = call!();
    black_box(Box::new([0_u8; 64]));
    (0..3).for_each(|_| query());
    render();
    render();
    encode();
}

fn query() {
    let _call = call!();
    black_box(Box::new([0_u8; 64]));
    row();
}

fn row() {
    call!().stop();
}

fn render() {
    call!().stop();
}

fn encode() {
    call!().stop();
}

fn open(recorder: &Recorder) -> Recording {
    let recording = recorder.begin("GET /orders/{id}");
    let _scope = recording.inject();
    work();
    recording
}

fn traced() -> Trace {
    let trace = Trace::new();
    let _scope = trace.inject();
    work();
    trace
}

/// A request to a service that only responds, with the whole response.
fn answered<S, B>(service: &mut S) -> usize
where
    S: Service<Request<()>, Response = Response<B>, Error = Infallible>,
    B: HttpBody<Data = Bytes>,
{
    let mut request = Request::new(());
    let id = HeaderValue::from_static("ca7a87c4-58d0-4fdf-857c-ef49fc3bf271");
    request.headers_mut().insert("x-request-id", id);
    answer(service, request)
}

fn main() {
    let policy = Policy::default().slower_than(Duration::from_hours(1));
    let recorder = Recorder::builder().policy(policy).start();
    let recorder = recorder.expect("a thread");
    // The slowest and the heaviest requests of this minute are among these, so later ones aren't kept.
    for _ in 0..100_000 {
        drop(open(&recorder));
    }
    Race::new("a request of ten calls that is not kept")
        .rival("trace alone", traced)
        .rival("recorded, from begin to finish", || drop(open(&recorder)))
        .run();
    let many = || (0..REQUESTS).map(|_| open(&recorder)).collect::<Vec<_>>();
    let traces = || (0..REQUESTS).map(|_| traced()).collect::<Vec<_>>();
    let answers = || service_fn(async |_: Request<()>| Ok(Response::new(Body::from("nothing"))));
    let mut plain = answers();
    let mut layered = RecorderLayer::new(recorder.clone()).layer(answers());
    Race::new("a service that does nothing but answer")
        .rival("plain", || answered(&mut plain))
        .rival("with the layer", || answered(&mut layered))
        .run();
    Race::new("the end of it")
        .within("a trace's last handle", REQUESTS, traces, |traces| {
            drop(traces.pop());
        })
        .within("finish", REQUESTS, many, |recordings| {
            drop(recordings.pop());
        })
        .run();
}
