//! Kept requests sent to a collector: what arrives, and what happens if it does not.

use std::io::Read;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime};

use flate2::read::GzDecoder;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use tracer::export::Format;
use tracer::otlp::{Builder, Compression, Exporter, Protocol};
use tracer::propagation::TraceContext;
use tracer::recorder::{Policy, Recorder, SinkStatistics};
use tracer::{TraceId, call};

use crate::collector::{Collector, Reply, decode, grpc};
use crate::common::allocate;
use crate::{LONG, PATIENCE};

/// A request as a collector received it.
pub(crate) struct Ask {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    pub(crate) at: Instant,
}

pub(crate) fn exporter(url: &str) -> Builder {
    let exporter = Exporter::builder().endpoint(url).service_name("shop");
    exporter.delay(Duration::ZERO)
}

pub(crate) fn recorder(exporter: Builder) -> Recorder {
    let exporter = exporter.build().unwrap();
    let recorder = Recorder::builder().policy(Policy::none().failed());
    recorder.otlp(exporter).start().unwrap()
}

/// A request with two calls, that is kept.
pub(crate) fn failed(recorder: &Recorder) {
    let mut request = recorder.begin("GET /orders/{id}");
    request.id("ca7a87c4");
    let scope = request.inject();
    let call = call!("{}", 7);
    call.checkpoint("asked");
    {
        let _query = call!("query \u{fe0f}", rows = 3);
        allocate(5);
    }
    call.stop();
    drop(scope);
    request.fail("no row");
}

pub(crate) fn sink(recorder: &Recorder) -> SinkStatistics {
    recorder.statistics().sinks.remove(0)
}

/// Returns what was taken, failed, dropped, and waits.
pub(crate) fn counts(recorder: &Recorder) -> (u64, u64, u64, usize) {
    let it = sink(recorder);
    (it.taken, it.failed, it.dropped, it.waiting)
}

pub(crate) fn spans(request: ExportTraceServiceRequest) -> Vec<Span> {
    let [of_resource] = <[_; 1]>::try_from(request.resource_spans).unwrap();
    let attributes = of_resource.resource.unwrap().attributes;
    let service = attributes[0].value.clone().unwrap();
    assert_eq!(attributes[0].key, "service.name");
    assert!(format!("{service:?}").contains("\"shop\""), "{service:?}");
    let [of_scope] = <[_; 1]>::try_from(of_resource.scope_spans).unwrap();
    assert_eq!(of_scope.scope.unwrap().name, "tracer");
    of_scope.spans
}

/// Returns the spans of what the recorder has kept, as its files have them.
pub(crate) fn expected(recorder: &Recorder) -> Vec<Span> {
    let mut kept = recorder.kept();
    kept.reverse();
    let mut file = Vec::new();
    Format::OtlpJson.write(kept, &mut file).unwrap();
    let lines = file
        .split(|byte| *byte == b'\n')
        .filter(|it| !it.is_empty());
    let requests = lines.map(|line| serde_json::from_slice(line).unwrap());
    let mut spans = Vec::new();
    for request in requests {
        let request: ExportTraceServiceRequest = request;
        for of_resource in request.resource_spans {
            spans.extend(of_resource.scope_spans.into_iter().flat_map(|it| it.spans));
        }
    }
    spans
}

#[test]
fn the_spans_arrive_in_both_encodings_compressed_or_not() {
    for protocol in [Protocol::HttpProtobuf, Protocol::HttpJson] {
        for compression in [Compression::None, Compression::Gzip] {
            let collector = Collector::start(|_| Reply::ok());
            let exporter = exporter(&collector.url()).protocol(protocol);
            let recorder = recorder(exporter.compression(compression).header("x-tenant", "a b"));
            for _ in 0..3 {
                failed(&recorder);
            }
            assert!(recorder.flush(PATIENCE));
            assert_eq!(counts(&recorder), (3, 0, 0, 0));
            assert_eq!(
                sink(&recorder).name,
                format!("OTLP {}/v1/traces", collector.url())
            );
            let mut arrived = Vec::new();
            for ask in collector.take() {
                assert!(
                    ask.head.starts_with("post /v1/traces http/1.1\r\n"),
                    "{}",
                    ask.head
                );
                assert!(ask.head.contains("\r\nx-tenant: a b\r\n"), "{}", ask.head);
                let mut body = ask.body;
                if compression == Compression::Gzip {
                    assert!(ask.head.contains("\r\ncontent-encoding: gzip\r\n"));
                    let compressed = std::mem::take(&mut body);
                    GzDecoder::new(&*compressed).read_to_end(&mut body).unwrap();
                }
                arrived.extend(spans(if protocol == Protocol::HttpJson {
                    assert!(ask.head.contains("\r\ncontent-type: application/json\r\n"));
                    serde_json::from_slice(&body).unwrap()
                } else {
                    assert!(
                        ask.head
                            .contains("\r\ncontent-type: application/x-protobuf\r\n")
                    );
                    decode(&body)
                }));
            }
            assert_eq!(arrived.len(), 9);
            assert_eq!(arrived, expected(&recorder));
        }
    }
}

#[test]
fn the_spans_arrive_over_grpc_and_sending_them_is_in_no_trace() {
    /// Counts spans and events of the thread that sends.
    struct Telltale;
    static SEEN: AtomicU64 = AtomicU64::new(0);
    impl tracing::Subscriber for Telltale {
        fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
            let thread = std::thread::current();
            SEEN.fetch_add(u64::from(thread.name() == Some("tracer-otlp")), Relaxed);
            true
        }
        fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
            tracing::span::Id::from_u64(1)
        }
        fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
        fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
        fn event(&self, _: &tracing::Event<'_>) {}
        fn enter(&self, _: &tracing::span::Id) {}
        fn exit(&self, _: &tracing::span::Id) {}
        fn register_callsite(
            &self,
            _: &'static tracing::Metadata<'static>,
        ) -> tracing::subscriber::Interest {
            tracing::subscriber::Interest::sometimes()
        }
    }
    tracing::subscriber::set_global_default(Telltale).unwrap();

    for compression in [Compression::None, Compression::Gzip] {
        let (address, asked) = grpc(true);
        let exporter = exporter(&format!("http://{address}")).protocol(Protocol::Grpc);
        let recorder = recorder(exporter.compression(compression));
        failed(&recorder);
        assert!(recorder.flush(PATIENCE));
        failed(&recorder);
        assert!(recorder.flush(PATIENCE));
        assert_eq!(counts(&recorder), (2, 0, 0, 0));
        assert_eq!(sink(&recorder).name, format!("OTLP grpc://{address}"));
        let why = sink(&recorder).last_error;
        assert_eq!(why.as_deref(), Some("gRPC status 14: try later"));
        let asked = std::mem::take(&mut *asked.lock().unwrap());
        let mut arrived = Vec::new();
        for ask in &asked {
            let path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export HTTP/2.0";
            assert!(ask.head.starts_with(path), "{}", ask.head);
            assert!(ask.head.contains(r#""te": "trailers""#), "{}", ask.head);
            let (head, message) = ask.body.split_at(5);
            let is_compressed = compression == Compression::Gzip;
            assert_eq!(head[0], u8::from(is_compressed));
            let length = u32::from_be_bytes(head[1..].try_into().unwrap());
            assert_eq!(length as usize, message.len());
            let mut plain = message.to_vec();
            if is_compressed {
                assert!(
                    ask.head.contains(r#""grpc-encoding": "gzip""#),
                    "{}",
                    ask.head
                );
                plain.clear();
                GzDecoder::new(message).read_to_end(&mut plain).unwrap();
            }
            arrived.push(spans(decode(&plain)));
        }
        // The first was sent again, as it was.
        assert_eq!(
            (arrived.len(), asked[0].body.len()),
            (3, asked[1].body.len())
        );
        assert_eq!(arrived.remove(0), arrived[0]);
        assert_eq!(arrived.concat(), expected(&recorder));
        assert!(asked[1].at - asked[0].at >= Duration::from_millis(500));
    }
    assert_eq!(SEEN.load(Relaxed), 0);
}

#[test]
fn the_trace_of_the_caller_is_continued() {
    let collector = Collector::start(|_| Reply::ok());
    let recorder = recorder(exporter(&collector.url()));
    let mut headers = axum::http::HeaderMap::new();
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    headers.insert("traceparent", parent.parse().unwrap());
    headers.insert("tracestate", "rojo=1,tracer=x".parse().unwrap());
    let mut request = recorder.begin("job");
    let context = TraceContext::extract(&headers).unwrap();
    assert!(request.trace().continue_from(&context));
    let scope = request.inject();
    call!().stop();
    drop(scope);
    request.fail("why");
    drop(request);
    assert!(recorder.flush(PATIENCE));
    let arrived = spans(decode(&collector.take()[0].body));
    assert_eq!(arrived, expected(&recorder));
    let [root, call] = &arrived[..] else { panic!() };
    let report = recorder.kept().remove(0);
    let trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
        .parse::<TraceId>()
        .unwrap();
    for span in [root, call] {
        assert_eq!(span.trace_id, trace_id.to_bytes());
        assert_eq!(span.trace_state, "rojo=1");
    }
    assert_eq!(
        root.parent_span_id,
        [0, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7]
    );
    assert_eq!(root.span_id, report.span_id.unwrap().to_bytes());
    assert_eq!(call.parent_span_id, root.span_id);
    // The parent is in another process, and it is not.
    assert_eq!((root.flags, call.flags), (0x300, 0x100));
}

#[test]
fn while_a_collector_hangs_requests_end_and_memory_is_bounded() {
    let (answer, told) = mpsc::channel();
    let mut told = Some(told);
    let collector = Collector::start(move |_| told.take().map_or_else(Reply::ok, Reply::When));
    let recorder = recorder(
        exporter(&collector.url())
            .timeout(LONG)
            .buffer_bytes(20_000),
    );
    failed(&recorder);
    while collector.take().is_empty() {
        std::thread::yield_now();
    }
    for _ in 0..200 {
        failed(&recorder);
        while recorder.statistics().waiting > 100 {
            std::thread::yield_now();
        }
    }
    // All have ended, and nothing is sent: the collector has not answered.
    let ended = recorder.statistics();
    assert_eq!((ended.ended, ended.kept), (201, 201));
    while { recorder.statistics().waiting > 0 } || sink(&recorder).dropped == 0 {
        std::thread::yield_now();
    }
    assert!(!recorder.flush(Duration::from_millis(50)));
    let (taken, failed, dropped, waiting) = counts(&recorder);
    assert_eq!((taken, failed, dropped + waiting as u64), (0, 0, 201));
    // A request has some 2 kB of spans.
    assert!((5..20).contains(&waiting), "{waiting}");
    answer.send(()).unwrap();
    assert!(recorder.flush(PATIENCE));
    assert_eq!(counts(&recorder), (waiting as u64, 0, dropped, 0));
}

#[test]
fn a_busy_collector_is_asked_again_when_it_says() {
    let collector = Collector::start(|number| match number {
        0 => Reply::Status("503 Service Unavailable", "retry-after: 2\r\n", Vec::new()),
        // A connection that was used before may have been closed since, so it is sent on a new one at once.
        1 | 2 => Reply::Close,
        _ => Reply::ok(),
    });
    let recorder = recorder(exporter(&collector.url()));
    failed(&recorder);
    assert!(recorder.flush(PATIENCE));
    assert_eq!(counts(&recorder), (1, 0, 0, 0));
    let asked = collector.take();
    assert_eq!(asked.len(), 4);
    assert!(asked.iter().all(|ask| ask.body == asked[0].body));
    assert!(asked[1].at - asked[0].at >= Duration::from_secs(2));
    assert!(asked[3].at - asked[2].at >= Duration::from_millis(500));
}

#[test]
fn a_busy_collector_may_say_a_date() {
    let collector = Collector::start(|number| match number {
        0 => {
            // In whole seconds, so two at least.
            let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(3));
            let header = format!("retry-after: {date}\r\n").leak();
            Reply::Status("429 Too Many Requests", header, Vec::new())
        }
        _ => Reply::ok(),
    });
    let recorder = recorder(exporter(&collector.url()));
    failed(&recorder);
    assert!(recorder.flush(PATIENCE));
    assert_eq!(counts(&recorder), (1, 0, 0, 0));
    let why = sink(&recorder).last_error;
    assert_eq!(why.as_deref(), Some("HTTP status 429 Too Many Requests"));
    let asked = collector.take();
    assert_eq!(asked.len(), 2);
    assert!(asked[1].at - asked[0].at >= Duration::from_secs(2));
}

#[test]
fn an_answer_that_is_late_is_none_and_all_is_sent_again() {
    let (_answer, told) = mpsc::channel();
    let mut told = Some(told);
    let collector = Collector::start(move |_| told.take().map_or_else(Reply::ok, Reply::When));
    let recorder = recorder(exporter(&collector.url()).timeout(Duration::from_secs(1)));
    failed(&recorder);
    assert!(recorder.flush(PATIENCE));
    assert_eq!(counts(&recorder), (1, 0, 0, 0));
    let why = sink(&recorder).last_error;
    assert_eq!(why.as_deref(), Some("no answer within 1000 ms"));
    let asked = collector.take();
    assert!(asked.len() >= 2 && asked.iter().all(|ask| ask.body == asked[0].body));
}

#[test]
fn what_a_collector_refuses_is_counted_and_not_sent_again() {
    let collector = Collector::start(|number| match number {
        0 => Reply::Status("400 Bad Request", "", b"\x12\x03bad".to_vec()),
        // Two spans of three.
        1 => Reply::Status("200 OK", "", b"\x0a\x07\x08\x02\x12\x03odd".to_vec()),
        // An answer that does not end is one: its head has the status.
        _ => Reply::Endless,
    });
    let recorder = recorder(exporter(&collector.url()).timeout(Duration::from_millis(300)));
    failed(&recorder);
    assert!(recorder.flush(PATIENCE));
    assert_eq!(counts(&recorder), (0, 1, 0, 0));
    let why = sink(&recorder).last_error;
    assert_eq!(why.as_deref(), Some("HTTP status 400 Bad Request: bad"));
    failed(&recorder);
    assert!(recorder.flush(PATIENCE));
    let it = sink(&recorder);
    assert_eq!((it.taken, it.failed, it.refused_spans), (1, 1, 2));
    assert_eq!(it.last_error.as_deref(), Some("odd"));
    failed(&recorder);
    assert!(recorder.flush(PATIENCE));
    assert_eq!(counts(&recorder), (2, 1, 0, 0));
    let why = sink(&recorder).last_error;
    assert_eq!(why.as_deref(), Some("the answer did not end"));
    assert_eq!(collector.take().len(), 3);
}

/// Returns the URL of a port at which nobody listens.
fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[test]
fn without_a_collector_the_recorder_ends_in_time_and_all_is_counted() {
    for protocol in [Protocol::HttpProtobuf, Protocol::Grpc] {
        let recorder = recorder(exporter(&nobody()).protocol(protocol));
        for _ in 0..20 {
            failed(&recorder);
        }
        let start = Instant::now();
        // It gives up a little earlier, so that all is counted by then.
        assert!(recorder.shut_down(Duration::from_secs(1)));
        assert!(start.elapsed() < Duration::from_secs(1));
        assert_eq!(counts(&recorder), (0, 20, 0, 0));
        let why = sink(&recorder).last_error.unwrap();
        let expected = "not sent before the recorder's end: ";
        assert!(why.starts_with(expected), "{why}");
    }
}

#[test]
fn what_the_end_leaves_no_time_for_has_failed() {
    let recorder = recorder(exporter(&nobody()));
    for _ in 0..50 {
        failed(&recorder);
    }
    // Most of them come to the buffer after this.
    recorder.shut_down(Duration::ZERO);
    let start = Instant::now();
    while counts(&recorder) != (0, 50, 0, 0) {
        let so_far = counts(&recorder);
        assert!(start.elapsed() < PATIENCE, "{so_far:?}");
        std::thread::yield_now();
    }
    let why = sink(&recorder).last_error.unwrap();
    let expected = "not sent before the recorder's end: ";
    assert!(why.starts_with(expected), "{why}");
}

#[test]
fn a_collector_that_is_back_gets_what_waited() {
    // Killed: its port is closed, and opened again later.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let recorder = recorder(exporter(&format!("http://{address}")));
    failed(&recorder);
    let (stream, _) = listener.accept().unwrap();
    drop((stream, listener));
    failed(&recorder);
    while sink(&recorder).last_error.is_none() {
        std::thread::yield_now();
    }
    let listener = std::net::TcpListener::bind(address).unwrap();
    let collector = Collector::serve_on(listener);
    assert!(recorder.flush(PATIENCE));
    assert_eq!(counts(&recorder), (2, 0, 0, 0));
    let arrived = { collector.take() }
        .into_iter()
        .flat_map(|ask| spans(decode(&ask.body)));
    assert_eq!(arrived.collect::<Vec<_>>(), expected(&recorder));
}

#[test]
fn a_collector_that_never_answers_does_not_hold_up_the_end() {
    let (_answer, told) = mpsc::channel();
    let mut told = Some(told);
    let collector = Collector::start(move |_| told.take().map_or_else(Reply::ok, Reply::When));
    let recorder = recorder(exporter(&collector.url()).timeout(LONG));
    failed(&recorder);
    while collector.take().is_empty() {
        std::thread::yield_now();
    }
    failed(&recorder);
    assert!(recorder.shut_down(Duration::from_secs(1)));
    assert_eq!(counts(&recorder), (0, 2, 0, 0));
    let why = sink(&recorder).last_error.unwrap();
    assert!(
        why.starts_with("not sent before the recorder's end: "),
        "{why}"
    );
    assert!(
        why.ends_with(": no answer") || why.ends_with("not tried"),
        "{why}"
    );
}

#[test]
fn it_is_given_up_after_a_while() {
    let recorder = recorder(exporter(&nobody()).retry_for(Duration::ZERO));
    failed(&recorder);
    assert!(recorder.flush(PATIENCE));
    assert_eq!(counts(&recorder), (0, 1, 0, 0));
    let why = sink(&recorder).last_error.unwrap();
    assert!(why.starts_with("given up: connecting: "), "{why}");
}

#[test]
fn a_report_of_several_batches_is_counted_once() {
    let collector = Collector::start(|number| match number {
        1 => Reply::Status("413 Content Too Large", "", Vec::new()),
        _ => Reply::ok(),
    });
    let recorder = recorder(exporter(&collector.url()).batch_bytes(4096));
    let many = || {
        let mut request = recorder.begin("many");
        let scope = request.inject();
        for number in 0..40 {
            call!("{number}").stop();
        }
        drop(scope);
        request.fail("why");
    };
    many();
    assert!(recorder.flush(PATIENCE));
    assert_eq!(counts(&recorder), (0, 1, 0, 0));
    many();
    assert!(recorder.flush(PATIENCE));
    assert_eq!(counts(&recorder), (1, 1, 0, 0));
    let asked = collector.take();
    assert!(asked.len() > 4 && asked.iter().all(|ask| ask.body.len() < 4500));
}

#[test]
fn it_works_in_any_runtime_and_cannot_wait_for_itself() {
    let current = tokio::runtime::Builder::new_current_thread();
    let several = tokio::runtime::Builder::new_multi_thread();
    for mut runtime in [current, several] {
        let runtime = runtime.enable_all().build().unwrap();
        runtime.block_on(async {
            let collector = Collector::start(|_| Reply::ok());
            // It is started, used, and dropped in the runtime.
            let recorder = recorder(exporter(&collector.url()));
            failed(&recorder);
            assert!(recorder.shut_down(PATIENCE));
            assert_eq!(counts(&recorder), (1, 0, 0, 0));
        });
    }
    // A collector that can't run while its recorder is waited for.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = axum::Router::new().fallback(|| async {});
        tokio::spawn(async { axum::serve(listener, app).await });
        let recorder = recorder(exporter(&url));
        failed(&recorder);
        assert!(!recorder.flush(Duration::from_millis(100)));
        while sink(&recorder).taken == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(recorder.shut_down(PATIENCE));
        assert_eq!(counts(&recorder), (1, 0, 0, 0));
    });
}
