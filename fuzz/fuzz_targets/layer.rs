//! The recorder's layer around any request and any response: nothing panics, every request is counted
//! once, its kept texts are bounded, and its outcome is that of its script.
//!
//! The input is a text in blocks, which `fuzz/README.md` describes.

#![no_main]

#[path = "layer/script.rs"]
mod script;
#[path = "layer/service.rs"]
mod service;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::header::HeaderName;
use http::request::Parts;
use http::{Method, Request, Response};
use http_body::Body;
use libfuzzer_sys::{Corpus, fuzz_target};
use tower_layer::Layer;
use tower_service::Service;
use tracer::recorder::{Policy, Recorder};
use tracer::tower::{RecordedBody, RecorderLayer};
use tracer::{Counting, Outcome, Report};

use script::{End, Script, Step};
use service::{Scripted, ScriptedBody};

#[global_allocator]
static A: Counting = Counting::system();

const MOST_BYTES: usize = 256;
const MOST_LABELS: usize = 32;
const PATIENCE: Duration = Duration::from_secs(20);

static BEGUN: AtomicU64 = AtomicU64::new(0);

fn recorder() -> &'static Recorder {
    static RECORDER: OnceLock<Recorder> = OnceLock::new();
    RECORDER.get_or_init(|| {
        let policy = Policy::none().when("all", |_| true);
        Recorder::builder().policy(policy).start().unwrap()
    })
}

fuzz_target!(|input: &[u8]| -> Corpus {
    let Some(script) = Script::read(input) else {
        return Corpus::Reject;
    };
    let mut service = layer(&script).layer(Scripted::of(&script));
    BEGUN.fetch_add(1, Relaxed);
    // A script may panic.
    let _ = catch_unwind(AssertUnwindSafe(|| drive(&mut service, &script)));
    let seen = service::take_seen();
    counted(0);
    assert!(recorder().flush(PATIENCE));
    let kept = recorder().kept();
    let kept = &kept[0];
    bounded(kept, &script);
    assert_eq!(
        seen.id.as_deref(),
        kept.request.as_ref().unwrap().id.as_deref()
    );
    ended(kept, &script);
    Corpus::Keep
});

/// Checks that every request is in flight or has ended, and that an ended one was kept or not.
fn counted(in_flight: u64) {
    let now = recorder().statistics();
    let begun = BEGUN.load(Relaxed);
    assert_eq!(
        (
            now.in_flight,
            now.ended,
            now.kept + now.not_kept + now.dropped
        ),
        (in_flight, begun - in_flight, begun - in_flight),
        "{now:#?}"
    );
}

fn layer(script: &Script) -> RecorderLayer {
    let layer = RecorderLayer::new(recorder().clone())
        .server_timing(script.has_timing)
        .grpc(script.is_grpc);
    let layer = match &script.id_header {
        Some(name) => layer.id_header(name.clone()),
        None => layer,
    };
    if script.is_named {
        layer.name_by(name_by)
    } else {
        layer
    }
}

fn name_by(parts: &Parts) -> Option<String> {
    let name = parts.headers.get("x-name")?;
    if name == "panic" {
        resume_unwind(Box::new(()));
    }
    Some(String::from_utf8_lossy(name.as_bytes()).into_owned())
}

/// Calls the service and handles the response by the script.
fn drive<S>(service: &mut S, script: &Script)
where
    S: Service<Request<()>, Response = Response<RecordedBody<ScriptedBody>>>,
{
    let mut context = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut context).is_ready());
    let mut future = Box::pin(service.call(script.request()));
    counted(1);
    if script.answer.first() == Some(&Step::Drop) {
        return;
    }
    let response = loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(Ok(response)) => break response,
            Poll::Ready(Err(_)) => return,
            Poll::Pending if service::came_to() == Some(Step::Drop) => return,
            Poll::Pending => {}
        }
    };
    drop(future);
    head(&response, script);
    let mut body = Box::pin(response.into_body());
    if script.body.first() == Some(&Step::Drop) {
        return;
    }
    let mut frames = Vec::new();
    loop {
        match body.as_mut().poll_frame(&mut context) {
            Poll::Ready(Some(Ok(frame))) => frames.extend(frame.into_data().ok()),
            Poll::Ready(Some(Err(_)) | None) => break,
            Poll::Pending if service::came_to() == Some(Step::Drop) => return,
            Poll::Pending => {}
        }
    }
    let data = script.frames();
    assert!(
        frames.iter().map(bytes::Bytes::len).eq(data),
        "what was sent came through"
    );
}

/// Checks that the head is that of the script, and that the timing adds one header.
fn head(response: &Response<RecordedBody<ScriptedBody>>, script: &Script) {
    assert_eq!(response.status(), script.status);
    let timing = HeaderName::from_static("server-timing");
    let mut headers = response.headers().clone();
    let all: Vec<_> = headers.get_all(&timing).iter().cloned().collect();
    let theirs = script.response_headers.get_all(&timing).iter().count();
    assert_eq!(all.len(), theirs + usize::from(script.has_timing));
    if let (Some(ours), true) = (all.last(), script.has_timing) {
        let ours = ours.to_str().unwrap();
        let rest = ours.strip_prefix("total;dur=").expect("a time");
        let (time, heap) = rest.split_once(", heap;desc=\"").expect("a number");
        assert!(time.parse::<f64>().is_ok(), "{ours}");
        let allocations = heap.strip_suffix(" allocations\"").expect("allocations");
        assert!(allocations.parse::<u64>().is_ok(), "{ours}");
    }
    headers.remove(&timing);
    let mut theirs = script.response_headers.clone();
    theirs.remove(&timing);
    assert_eq!(headers, theirs);
}

const KNOWN: [Method; 9] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::DELETE,
    Method::CONNECT,
    Method::OPTIONS,
    Method::TRACE,
    Method::PATCH,
];

/// Checks that clients can't exceed the bounds of sizes and numbers.
fn bounded(kept: &Report, script: &Script) {
    let request = kept.request.as_ref().unwrap();
    let id = request.id.as_ref().expect("an id");
    assert!(!id.is_empty() && id.len() <= MOST_BYTES && request.name.len() <= MOST_BYTES);
    assert!(request.labels.len() <= MOST_LABELS);
    for (name, value) in &request.labels {
        assert!(
            name.len() <= MOST_BYTES && value.len() <= MOST_BYTES,
            "{name}: {value}"
        );
    }
    // Beyond the limit of names, which clients of a gRPC service may reach, requests share one name.
    if !script.is_named && request.name != "(other)" {
        let method = KNOWN.iter().find(|method| **method == script.method);
        let method = method.map_or("HTTP", Method::as_str);
        let rest = request.name.strip_prefix(method).expect("the method first");
        let is_path = script.is_grpc && rest.starts_with(" /");
        assert!(
            matches!(rest, "" | " (no route)") || is_path,
            "{}",
            request.name
        );
    }
    let label = |name: &str| request.labels.iter().find(|(known, _)| known == name);
    assert!(label("path").is_some());
    assert_eq!(label("method").is_some(), !KNOWN.contains(&script.method));
    if let Some((_, sent)) = label("sent") {
        let sent: usize = sent.parse().unwrap();
        assert!(sent <= script.frames().sum());
    }
}

/// Checks that the outcome of the request is that of the script.
fn ended(kept: &Report, script: &Script) {
    let outcome = match &kept.request.as_ref().unwrap().outcome {
        Outcome::Ok => End::Ok,
        Outcome::Failed(_) => End::Failed,
        Outcome::Panicked => End::Panicked,
        Outcome::Cancelled => End::Cancelled,
        Outcome::Running => panic!("a request that is over is running"),
    };
    if let Some(expected) = script.end() {
        assert_eq!(outcome, expected, "{kept:#}");
    }
}
