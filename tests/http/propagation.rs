//! One trace over several services: the headers of W3C Trace Context.
//!
//! The tables are the cases of the specification's own harness,
//! <https://github.com/w3c/trace-context/blob/main/test/test.py>: a service is asked with some headers, and calls
//! back with those that it would send on.

use std::collections::HashSet;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use proptest::prelude::*;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tower::util::BoxCloneService;
use tower::{Layer, ServiceExt, service_fn};
use tracer::propagation::{PropagationLayer, TraceContext, inject, note_kept};
use tracer::recorder::{Policy, Recorder};
use tracer::tower::RecorderLayer;
use tracer::{Report, SpanId, Trace, TraceId, call, fetch};

use crate::PATIENCE;
use crate::server::{self, Server, request};

const TRACE: &str = "12345678901234567890123456789012";
const PARENT: &str = "1234567890123456";
const VALID: &str = "00-12345678901234567890123456789012-1234567890123456-00";

/// A service that answers with the headers of a request that it would send.
struct Harness {
    runtime: Runtime,
    recorder: Recorder,
    app: Router,
}

/// The headers of a request that was sent.
struct Sent {
    trace: String,
    parent: String,
    flags: String,
    /// Without the member of the tracer itself, which is checked.
    tracestate: String,
}

impl Harness {
    fn new(set: impl FnOnce(RecorderLayer) -> RecorderLayer) -> Self {
        let recorder = server::recorder();
        let calls_back = async || {
            let _call = call!("back");
            let mut headers = HeaderMap::new();
            inject(&mut headers);
            headers
        };
        let layer = set(RecorderLayer::new(recorder.clone()));
        Self {
            runtime: Runtime::new().unwrap(),
            app: Router::new().route("/", get(calls_back)).layer(layer),
            recorder,
        }
    }

    fn ask(&self, headers: &[(&str, &str)]) -> Sent {
        let mut request = Request::new(Body::empty());
        for (name, value) in headers {
            let name: HeaderName = name.parse().unwrap();
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            request.headers_mut().append(name, value);
        }
        let response = self.runtime.block_on(self.app.clone().oneshot(request));
        let response = response.unwrap();
        let all = |name: &str| response.headers().get_all(name).iter().collect::<Vec<_>>();
        let [traceparent] = all("traceparent")[..] else {
            panic!("{response:?}");
        };
        let parts: Vec<_> = traceparent.to_str().unwrap().split('-').collect();
        let [version, trace, parent, flags] = parts[..] else {
            panic!("{traceparent:?}");
        };
        assert_eq!(version, "00");
        assert!(trace.parse::<TraceId>().is_ok() && parent.parse::<SpanId>().is_ok());
        assert_ne!(parent, PARENT);
        let [tracestate] = all("tracestate")[..] else {
            panic!("{response:?}");
        };
        let tracestate = tracestate.to_str().unwrap();
        let others = tracestate
            .strip_prefix(&format!("tracer={parent}"))
            .unwrap();
        Sent {
            trace: trace.to_owned(),
            parent: parent.to_owned(),
            flags: flags.to_owned(),
            tracestate: others.trim_start_matches(',').to_owned(),
        }
    }

    /// Returns the reports, the oldest first.
    fn reports(&self) -> Vec<Arc<Report>> {
        assert!(self.recorder.flush(PATIENCE));
        let mut kept = self.recorder.kept();
        kept.reverse();
        kept
    }
}

#[test]
fn a_valid_traceparent_is_continued_and_any_other_is_not() {
    let harness = Harness::new(|layer| layer);
    let more = |text: &str| format!("{VALID}{text}");
    let version = |version: &str| format!("{version}{}", &VALID[2..]);
    let trace = |id: &str| format!("00-{id}-{PARENT}-01");
    let parent = |id: &str| format!("00-{TRACE}-{id}-01");
    let flags = |flags: &str| format!("00-{TRACE}-{PARENT}-{flags}");
    let valid = [
        flags("01"),
        version("cc"),
        version("01"),
        version("fe"),
        version("cc") + "-what-the-future-will-be-like",
        version("cc") + "-",
        format!(" {VALID}"),
        format!("\t{VALID}"),
        more(" "),
        more("\t"),
        format!("\t {VALID} \t"),
        flags("ff"),
    ];
    for value in valid {
        let sent = harness.ask(&[("traceparent", &value)]);
        assert_eq!(sent.trace, TRACE, "{value:?}");
    }
    let invalid = [
        more("."),
        more("-"),
        more("-what-the-future-will-be-like"),
        version("cc") + ".what-the-future-will-be-like",
        version("ff"),
        version(".0"),
        version("0."),
        version("0A"),
        version("000"),
        version("0000"),
        version("0"),
        version(""),
        trace("00000000000000000000000000000000"),
        trace(".2345678901234567890123456789012"),
        trace("1234567890123456789012345678901."),
        trace("123456789012345678901234567890123"),
        trace("1234567890123456789012345678901"),
        trace("4BF92F3577B34DA6A3CE929D0E0E4736"),
        parent("0000000000000000"),
        parent(".234567890123456"),
        parent("123456789012345."),
        parent("12345678901234567"),
        parent("123456789012345"),
        parent("00F067AA0BA902B7"),
        flags(".0"),
        flags("0."),
        flags("0F"),
        flags("001"),
        flags("1"),
        flags(""),
        VALID.replace('-', "_"),
        VALID.replacen('-', " ", 1),
        String::new(),
        "-".repeat(55),
        "é".repeat(28),
        VALID.repeat(200),
    ];
    let mut ids = HashSet::new();
    for value in invalid {
        let sent = harness.ask(&[("traceparent", &value), ("tracestate", "foo=1")]);
        assert!(!value.contains(&sent.trace), "{value:?}");
        assert!(ids.insert(sent.trace), "{value:?}");
        assert_eq!((&*sent.flags, &*sent.tracestate), ("02", ""), "{value:?}");
        assert!(value.parse::<TraceContext>().is_err(), "{value:?}");
    }
}

#[test]
fn several_headers_or_those_of_other_names_are_ignored() {
    let harness = Harness::new(|layer| layer);
    let other = VALID.replace("9012-", "9011-");
    for headers in [
        &[("traceparent", VALID), ("traceparent", &other)][..],
        &[("traceparent", VALID), ("traceparent", VALID)],
        &[("trace-parent", VALID)],
        &[("trace.parent", VALID)],
        &[("tracestate", "foo=1,bar=2")],
        &[],
    ] {
        let sent = harness.ask(headers);
        assert!(!VALID.contains(&sent.trace) && !other.contains(&sent.trace));
        assert_eq!((&*sent.flags, &*sent.tracestate), ("02", ""));
    }
    for (parent, state) in [
        ("TraceParent", "TraceState"),
        ("TrAcEpArEnT", "TrAcEsTaTe"),
        ("TRACEPARENT", "TRACESTATE"),
    ] {
        let sent = harness.ask(&[(parent, VALID), (state, "foo=1")]);
        assert_eq!((&*sent.trace, &*sent.tracestate), (TRACE, "foo=1"));
    }
    let reports = harness.reports();
    assert!(
        reports[..6]
            .iter()
            .all(|report| report.parent_span.is_none())
    );
    let callers = reports[6..]
        .iter()
        .map(|it| it.parent_span.unwrap().to_string());
    assert_eq!(callers.collect::<Vec<_>>(), [PARENT; 3]);
}

#[test]
fn flags_are_sent_as_they_were_received_without_those_that_are_reserved() {
    let harness = Harness::new(|layer| layer);
    for (received, expected) in [
        ("00", "00"),
        ("01", "01"),
        ("02", "02"),
        ("03", "03"),
        ("fd", "01"),
    ] {
        let value = format!("00-{TRACE}-{PARENT}-{received}");
        assert_eq!(harness.ask(&[("traceparent", &value)]).flags, expected);
    }
}

#[test]
fn each_request_has_a_parent_of_its_own_that_stands_in_the_report() {
    let harness = Harness::new(|layer| layer);
    let sent: Vec<_> = [VALID, VALID, VALID, "no", "no", "no"]
        .iter()
        .map(|value| harness.ask(&[("traceparent", value)]))
        .collect();
    let parents: HashSet<_> = sent.iter().map(|sent| &sent.parent).collect();
    assert_eq!(parents.len(), 6);
    for (sent, report) in sent.iter().zip(harness.reports()) {
        assert_eq!(report.trace_id.unwrap().to_string(), sent.trace);
        assert_eq!(report.calls[0].span_id.unwrap().to_string(), sent.parent);
        let tree = format!("{report:#}");
        let line = tree.lines().nth(1).unwrap();
        assert!(
            line.starts_with(&format!("trace {} {}: ", report.trace, sent.trace)),
            "{tree}"
        );
    }
}

/// Returns members `bar01=01` and so on.
fn members(range: std::ops::RangeInclusive<u32>) -> String {
    let members = range.map(|number| format!("bar{number:02}={number:02}"));
    members.collect::<Vec<_>>().join(",")
}

#[test]
fn a_valid_tracestate_is_sent_on_and_any_other_is_dropped() {
    let harness = Harness::new(|layer| layer);
    let key = "abcdefghijklmnopqrstuvwxyz0123456789_-*/";
    let value: String = (b' '..=b'~')
        .filter(|it| !b",=".contains(it))
        .map(char::from)
        .collect();
    let (all, with_at) = (
        format!("{key}={value}"),
        format!("{key}@a-z0-9_-*/={value}"),
    );
    let long = |key: &str| format!("foo=1,{key}=1");
    let (longest, longer) = (long(&"z".repeat(256)), long(&"z".repeat(257)));
    let (longest_value, longer_value) = (
        format!("a={}", "x".repeat(256)),
        format!("a={}", "x".repeat(257)),
    );
    let tenants = [
        "t".repeat(241) + "@" + &"v".repeat(14),
        "t".repeat(242) + "@v",
        "t@".to_owned() + &"v".repeat(15),
    ];
    let tenants = tenants.map(|key| long(&key));
    let (of_32, of_33) = (members(1..=32), members(1..=33));
    let same = |text: &str| (vec![text.to_owned()], text.to_owned());
    let from = |headers: &[&str], expected: &str| {
        let headers = headers.iter().map(|it| (*it).to_owned());
        (headers.collect::<Vec<_>>(), expected.to_owned())
    };
    for (headers, expected) in [
        same("foo=1,bar=2"),
        same("foo=1"),
        from(&[""], ""),
        from(&["foo=1", ""], "foo=1"),
        from(&["", "foo=1"], "foo=1"),
        from(&["foo=1,,bar=2,"], "foo=1,bar=2"),
        from(
            &["foo=1,bar=2", "rojo=1,congo=2", "baz=3"],
            "foo=1,bar=2,rojo=1,congo=2,baz=3",
        ),
        // Kept as they are, as the specification allows.
        same("foo=1,foo=1"),
        same("foo=1,foo=2"),
        from(&["foo=1", "foo=2"], "foo=1,foo=2"),
        same(&all),
        same(&with_at),
        from(&["foo=1 \t , \t bar=2, \t baz=3"], "foo=1,bar=2,baz=3"),
        from(&["foo=1\t \t,\t \tbar=2,\t \tbaz=3"], "foo=1,bar=2,baz=3"),
        from(&[" foo=1"], "foo=1"),
        from(&["\tfoo=1"], "foo=1"),
        from(&["foo=1 "], "foo=1"),
        from(&["foo=1\t"], "foo=1"),
        from(&["\t foo=1 \t"], "foo=1"),
        same("foo= 1"),
        from(&["foo =1"], ""),
        from(&["FOO=1"], ""),
        from(&["foo.bar=1"], ""),
        same("foo@=1,bar=2"),
        from(&["@foo=1,bar=2"], ""),
        same("foo@@bar=1,bar=2"),
        same("foo@bar@baz=1,bar=2"),
        same("0a=1"),
        same(&longest),
        from(&[&longer], ""),
        same(&tenants[0]),
        same(&tenants[1]),
        same(&tenants[2]),
        same(&longest_value),
        from(&[&longer_value], ""),
        from(&["foo=bar=baz"], ""),
        from(&["foo=,bar=3"], ""),
        from(&["foo"], ""),
        from(&["=1"], ""),
        from(&["foo=é"], ""),
        // With ours, these are 32.
        from(&[&of_32], &members(1..=31)),
        from(&[&of_33], ""),
        // Ours goes to the front.
        from(&["foo=1,tracer=00f067aa0ba902b7,bar=2"], "foo=1,bar=2"),
        from(&["tracer=x", "foo=1"], "foo=1"),
    ] {
        let mut all = vec![("traceparent", VALID)];
        all.extend(headers.iter().map(|value| ("tracestate", &**value)));
        let sent = harness.ask(&all);
        assert_eq!(
            (&*sent.trace, &*sent.tracestate),
            (TRACE, &*expected),
            "{headers:?}"
        );
    }
}

#[test]
fn of_a_long_tracestate_whole_members_are_sent_on() {
    let harness = Harness::new(|layer| layer);
    let member = |name: usize, bytes: usize| format!("{name:02}={}", "x".repeat(bytes - 3));
    let list = |sizes: &[usize]| {
        let members = sizes.iter().enumerate();
        let members: Vec<_> = members.map(|(name, bytes)| member(name, *bytes)).collect();
        members.join(",")
    };
    let kept = |sizes: &[usize]| {
        let sent = harness.ask(&[("traceparent", VALID), ("tracestate", &list(sizes))]);
        assert!(sent.tracestate.len() <= 512, "{}", sent.tracestate.len());
        let members = sent.tracestate.split(',');
        let names = members.map(|it| it.split('=').next().unwrap().parse::<usize>().unwrap());
        names.collect::<Vec<_>>()
    };
    assert_eq!(kept(&[127, 127, 127, 128]), [0, 1, 2, 3]);
    // One byte more.
    assert_eq!(kept(&[128, 127, 127, 128]), [0, 1, 2]);
    // Those of more than 128 bytes first, then the last ones.
    assert_eq!(kept(&[129, 100, 200, 100, 100]), [0, 1, 3, 4]);
    assert_eq!(kept(&[129, 128, 128, 128, 128]), [1, 2, 3]);
    assert_eq!(kept(&[250; 32]), [0, 1]);
    assert_eq!(kept(&[30; 32]), (0..16).collect::<Vec<_>>());
}

#[test]
fn a_hostile_tracestate_hurts_nobody() {
    let server = Server::of(|layer| server::app().layer(layer));
    let hostile = [
        "x".repeat(10 << 10),
        ",".repeat(10 << 10),
        "a=1,".repeat(2560),
        format!("a={}", "=".repeat(10 << 10)),
        " \t".repeat(5 << 10),
        format!("{}=1", "a@".repeat(5 << 10)),
    ];
    for value in &hostile {
        let headers = format!("traceparent: {VALID}\r\ntracestate: {value}\r\n");
        let answer = server.send("GET /orders/7", headers.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    let raw = [
        b"traceparent: ",
        VALID.as_bytes(),
        b"\r\ntracestate: a=\xff\xfe\r\n",
    ]
    .concat();
    server.send("GET /orders/7", &raw);
    for report in server.ended(hostile.len() as u64 + 1) {
        assert_eq!(report.trace_id.unwrap().to_string(), TRACE);
        assert_eq!(report.parent_span.unwrap().to_string(), PARENT);
    }
}

#[test]
fn at_the_edge_the_callers_headers_are_ignored() {
    let harness = Harness::new(|layer| layer.traceparent(false));
    let sent = harness.ask(&[("traceparent", VALID), ("tracestate", "foo=1")]);
    assert_ne!(sent.trace, TRACE);
    assert_eq!(sent.tracestate, "");
    assert_eq!(harness.reports()[0].parent_span, None);
}

#[test]
fn without_a_trace_nothing_is_written() {
    let mut headers = HeaderMap::new();
    headers.insert("traceparent", HeaderValue::from_static(VALID));
    inject(&mut headers);
    note_kept(&headers);
    assert_eq!(
        (headers.len(), &headers["traceparent"]),
        (1, &HeaderValue::from_static(VALID))
    );
    assert_eq!(TraceContext::current(), None);
    let _scope = Trace::empty().inject();
    inject(&mut headers);
    assert_eq!(headers.len(), 1);
}

#[test]
fn what_was_there_is_replaced() {
    let trace = Trace::new();
    let _scope = trace.inject();
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("traceparent", VALID),
        ("traceparent", VALID),
        ("tracestate", "foo=1"),
        ("tracestate", "bar=2"),
    ] {
        headers.append(name, HeaderValue::from_static(value));
    }
    inject(&mut headers);
    assert_eq!(headers.len(), 2);
    let (id, span) = (trace.trace_id().unwrap(), trace.span_id().unwrap());
    assert_eq!(headers["traceparent"], format!("00-{id}-{span}-02"));
    assert_eq!(headers["tracestate"], format!("tracer={span}"));
}

#[test]
fn a_trace_continues_one_other() {
    let context: TraceContext = VALID.parse().unwrap();
    let context = context.with_tracestate("foo=1");
    let other: TraceContext = VALID.replace("12345678901", "abcdef78901").parse().unwrap();
    let trace = Trace::new();
    assert!(trace.continue_from(&context));
    assert!(!trace.continue_from(&other));
    let here = trace.clone();
    let there = std::thread::spawn(move || {
        let _scope = here.inject();
        TraceContext::current().unwrap()
    });
    let there = there.join().unwrap();
    assert_eq!(
        (there.trace_id(), there.tracestate()),
        (context.trace_id(), "foo=1")
    );
    assert_eq!(there.span_id(), trace.report().span_id.unwrap());
    assert!(!Trace::empty().continue_from(&context));
    // The next trace has the memory of this one, and nothing of its caller.
    drop(trace);
    for _ in 0..100 {
        let next = Trace::new();
        let _scope = next.inject();
        let sent = TraceContext::current().unwrap();
        assert_ne!(sent.trace_id(), context.trace_id());
        assert_eq!((sent.tracestate(), next.report().parent_span), ("", None));
    }
}

#[test]
fn what_is_no_traceparent_is_named() {
    for (text, expected) in [
        ("00", "has 2 bytes: expected 55"),
        (
            &*VALID.replacen("00", "ff", 1),
            "has no version: expected two lower-case hexadecimal digits other than ff",
        ),
        (
            &VALID.replacen('-', "_", 2),
            "has no dash as character 3: expected 00-TRACE_ID-SPAN_ID-FLAGS",
        ),
        (
            &VALID.replacen("12", "AB", 1),
            "is malformed: the trace id has 'A' as character 1: expected 32 lower-case hexadecimal digits",
        ),
        (
            &VALID.replace("-1234567890123456-", "-0000000000000000-"),
            "is malformed: the span id is all zeros: expected another digit among the 16",
        ),
        (
            &VALID.replace("-00", "-0x"),
            "has no flags: expected two lower-case hexadecimal digits as characters 54 and 55",
        ),
        (
            &format!("{VALID}-"),
            "goes on after character 55: expected its end, or a dash in a later version",
        ),
    ] {
        let error = text.parse::<TraceContext>().unwrap_err();
        assert_eq!(error.to_string(), format!("the traceparent {expected}"));
    }
}

/// Reads a `traceparent` as the specification's text says it, step by step.
fn oracle(text: &str) -> Option<(u128, u64, u8)> {
    let text = text.trim_matches([' ', '\t']);
    let is_hex = |part: &str| {
        part.bytes()
            .all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'))
    };
    let field = |range: std::ops::Range<usize>| text.get(range).filter(|it| is_hex(it));
    let is_dash = |at: usize| text.get(at..=at) == Some("-");
    let version = u8::from_str_radix(field(0..2)?, 16).ok()?;
    let ends = text.len() == 55 || version > 0 && is_dash(55);
    if version == 255 || !is_dash(2) || !is_dash(35) || !is_dash(52) || !ends {
        return None;
    }
    let trace = u128::from_str_radix(field(3..35)?, 16).ok()?;
    let parent = u64::from_str_radix(field(36..52)?, 16).ok()?;
    let flags = u8::from_str_radix(field(53..55)?, 16).ok()?;
    (trace != 0 && parent != 0).then_some((trace, parent, flags & 3))
}

fn read(text: &str) -> Option<(u128, u64, u8)> {
    let context: TraceContext = text.parse().ok()?;
    let written = context.to_string();
    assert_eq!(written.parse(), Ok(context.clone()));
    let flags = u8::from_str_radix(&written[53..], 16).unwrap();
    assert_eq!(context.is_sampled(), flags & 1 == 1);
    Some((
        context.trace_id().to_bits(),
        context.span_id().to_bits(),
        flags,
    ))
}

proptest! {
    #[test]
    fn any_text_is_read_as_the_specification_says(text in any::<String>()) {
        assert_eq!(read(&text), oracle(&text));
    }

    #[test]
    fn almost_valid_ones_too(
        version in "[0-9a-f]{2}", trace in any::<u128>(), parent in any::<u64>(), flags in "[0-9a-fA-G]{2}",
        rest in "(|-|-x|\\.| )", at in 0..56_usize, other in "(|[ -~]|é)", is_changed in any::<bool>(),
    ) {
        let mut text = format!("{version}-{trace:032x}-{parent:016x}-{flags}{rest}");
        if is_changed && at < text.len() {
            text.replace_range(at..=at, &other);
        }
        assert_eq!(read(&text), oracle(&text));
    }

    #[test]
    fn any_tracestate_is_bounded_and_well_formed(text in "([a-z0-9@=, \\t~A]{0,40},){0,40}") {
        let context: TraceContext = VALID.parse().unwrap();
        let once = context.with_tracestate(&text);
        let kept = once.tracestate();
        assert!(kept.len() <= 512 && kept.split(',').count() <= 31);
        assert!(kept.is_empty() || kept.split(',').all(|it| text.contains(it)));
        assert_eq!(once.clone().with_tracestate(kept).tracestate(), kept);
    }
}

/// Serves an app, and returns its address.
fn serve(runtime: &Runtime, app: Router) -> SocketAddr {
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(async move { axum::serve(listener, app).await });
    address
}

/// A client of reqwest as a service of `http` requests.
fn client() -> BoxCloneService<Request<String>, Response<reqwest::Body>, reqwest::Error> {
    let client = reqwest::Client::new();
    BoxCloneService::new(service_fn(move |request: Request<String>| {
        let client = client.clone();
        async move {
            let response = client.execute(request.try_into()?).await?;
            Ok(Response::from(response))
        }
    }))
}

/// Three services: the first asks the second by reqwest, the second asks the third through the layer.
struct Three {
    runtime: Runtime,
    recorders: [Recorder; 3],
    first: SocketAddr,
}

impl Three {
    fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let policies = [
            Policy::none().kept_downstream(),
            Policy::none().kept_downstream(),
            Policy::none().failed(),
        ];
        let recorders = policies.map(|policy| Recorder::builder().policy(policy).start().unwrap());
        let layer = |place: usize| RecorderLayer::new(recorders[place].clone()).tell_kept(true);
        let third = Router::new()
            .route("/fine", get(async || "fine"))
            .route("/broken", get(async || StatusCode::BAD_GATEWAY));
        let third = serve(&runtime, third.layer(layer(2)));
        let second = async move |uri: axum::http::Uri| {
            let _around = call!("second");
            let request = Request::get(format!("http://{third}{uri}"));
            let request = request.body(String::new()).unwrap();
            let client = PropagationLayer::new().layer(client());
            let answer = client.oneshot(request).await.unwrap();
            answer.status().to_string()
        };
        let second = Router::new().fallback(second).layer(layer(1));
        let second = serve(&runtime, second);
        let first = async move |uri: axum::http::Uri| {
            let client = reqwest::Client::new();
            let asks = call!("asks");
            let mut headers = HeaderMap::new();
            inject(&mut headers);
            let request = client.get(format!("http://{second}{uri}")).headers(headers);
            let answer = asks.instrument(request.send()).await.unwrap();
            note_kept(answer.headers());
            answer.text().await.unwrap()
        };
        let first = Router::new().fallback(first).layer(layer(0));
        let first = serve(&runtime, first);
        Self {
            runtime,
            recorders,
            first,
        }
    }

    fn ask(&self, path: &str) -> String {
        let answer = async {
            reqwest::get(format!("http://{}{path}", self.first))
                .await?
                .text()
                .await
        };
        self.runtime.block_on(answer).unwrap()
    }

    /// Returns the reports that each has kept of this many requests.
    fn kept(&self, ended: u64) -> [Vec<Arc<Report>>; 3] {
        self.recorders.each_ref().map(|recorder| {
            let end = std::time::Instant::now() + PATIENCE;
            while recorder.statistics().ended < ended {
                assert!(
                    std::time::Instant::now() < end,
                    "{:?}",
                    recorder.statistics()
                );
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            assert!(recorder.flush(PATIENCE));
            recorder.kept()
        })
    }
}

#[test]
fn three_services_share_a_trace_and_a_failure_below_keeps_all_three() {
    let services = Three::new();
    assert_eq!(services.ask("/fine"), "200 OK");
    assert!(services.kept(1).iter().all(Vec::is_empty));
    assert_eq!(services.ask("/broken"), "502 Bad Gateway");
    let [first, second, third] = services.kept(2).map(|mut kept| kept.remove(0));
    assert_eq!(
        (first.trace_id, first.trace_id),
        (second.trace_id, third.trace_id)
    );
    assert_eq!(first.parent_span, None);
    let span = |report: &Report, name: &str| {
        let mut calls = report.calls.iter();
        calls
            .find(|it| it.name == name || it.id.as_deref() == Some(name))
            .unwrap()
            .span_id
    };
    assert_eq!(second.parent_span, span(&first, "asks"));
    assert_eq!(third.parent_span, span(&second, "outgoing"));
    let reasons = |report: &Report| request(report).reasons.join(", ");
    assert_eq!(
        [&first, &second, &third].map(|it| reasons(it)),
        ["kept downstream", "kept downstream", "failed"]
    );
    let outgoing = second
        .calls
        .iter()
        .find(|it| it.name == "outgoing")
        .unwrap();
    assert_eq!(outgoing.id.as_deref(), Some("GET 127.0.0.1"));
    assert_eq!(outgoing.checkpoints[0].name, "502 Bad Gateway");
    assert_eq!(outgoing.parent, Some(0));
    assert!(
        first.to_string().contains("kept: kept downstream"),
        "{first}"
    );
}

#[test]
fn the_flag_of_the_caller_is_a_rule() {
    let server = Server::with(Policy::none().sampled_upstream(), |layer| {
        server::app().layer(layer)
    });
    for flags in ["01", "00", "03", "02"] {
        let headers =
            format!("traceparent: 00-{TRACE}-{PARENT}-{flags}\r\nx-request-id: {flags}\r\n");
        server.send("GET /orders/7", headers.as_bytes());
    }
    server.send("GET /orders/7", b"");
    let kept = server.ended(5);
    let kept = kept
        .iter()
        .map(|it| (request(it).id.as_deref().unwrap(), &*request(it).reasons[0]));
    assert_eq!(
        kept.collect::<Vec<_>>(),
        [("01", "sampled upstream"), ("03", "sampled upstream")]
    );
}

#[test]
fn an_error_of_the_client_fails_the_call() {
    let trace = Trace::new();
    let client =
        service_fn(async |_: Request<String>| Err::<Response<String>, _>("connection refused"));
    let client = PropagationLayer::new().layer(client);
    let request = Request::get("/")
        .header("host", "inventory:80")
        .body(String::new())
        .unwrap();
    let asked = trace.instrument(async { client.oneshot(request).await.unwrap_err() });
    assert_eq!(
        Runtime::new().unwrap().block_on(asked),
        "connection refused"
    );
    let call = &trace.report().calls[0];
    assert_eq!(call.id.as_deref(), Some("GET inventory:80"));
    assert_eq!(call.outcome, server::failed("connection refused"));
}

#[test]
fn requests_at_the_same_time_have_different_parents() {
    let trace = Trace::new();
    let client = service_fn(async |request: Request<String>| {
        tokio::task::yield_now().await;
        Ok::<_, Infallible>(Response::new(
            request.headers()["traceparent"]
                .to_str()
                .unwrap()
                .to_owned(),
        ))
    });
    let client = PropagationLayer::new().layer(client);
    let ask = || client.oneshot(Request::new(String::new()));
    let both = trace.instrument(async { tokio::join!(ask(), ask()) });
    let (left, right) = Runtime::new().unwrap().block_on(both);
    let sent = [left, right].map(|it| it.unwrap().into_body().into_inner());
    let report = trace.report();
    let expected = report.calls.iter().map(|call| {
        format!(
            "00-{}-{}-02",
            report.trace_id.unwrap(),
            call.span_id.unwrap()
        )
    });
    assert_eq!(sent.to_vec(), expected.collect::<Vec<_>>());
    assert!(report.calls.iter().all(|call| call.parent.is_none()));
    assert_eq!(fetch().trace_id(), None);
}

#[test]
fn clients_without_a_trace_send_requests_as_they_are() {
    let client = service_fn(async |request: Request<String>| {
        assert!(request.headers().is_empty());
        Ok::<_, Infallible>(().into_response())
    });
    let client = PropagationLayer::new().layer(client);
    let asked = client.oneshot(Request::new(String::new()));
    assert_eq!(
        Runtime::new().unwrap().block_on(asked).unwrap().status(),
        StatusCode::OK
    );
}
