//! The headers of W3C Trace Context, from the caller to the callee.
//!
//! The tables are the cases of the specification's own harness,
//! <https://github.com/w3c/trace-context/blob/main/test/test.py>: a service is asked with some headers, and calls
//! back with those that it would send on.

use std::collections::HashSet;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request};
use axum::routing::get;
use tokio::runtime::Runtime;
use tower::ServiceExt;
use tracer::propagation::{TraceContext, inject};
use tracer::recorder::Recorder;
use tracer::tower::RecorderLayer;
use tracer::{Report, SpanId, TraceId, call};

use crate::PATIENCE;
use crate::server::{self, Server};

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
