//! Reports as files of OpenTelemetry, read by types that others have written.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use tracer::export::Format;
use tracer::{Limits, Trace, call};

use crate::common::allocate;

fn spans(traces: &[&Trace]) -> Vec<Vec<Span>> {
    let mut file = Vec::new();
    let reports = traces.iter().map(|trace| trace.report());
    Format::OtlpJson.write(reports, &mut file).unwrap();
    let file = String::from_utf8(file).unwrap();
    let requests = file.lines().map(|line| serde_json::from_str(line).unwrap());
    let spans = requests.map(|request: ExportTraceServiceRequest| {
        let all = request.resource_spans.into_iter();
        let all = all.flat_map(|it| it.scope_spans);
        all.flat_map(|it| it.spans).collect()
    });
    spans.collect()
}

fn attribute(span: &Span, key: &str) -> Option<Value> {
    let mut all = span.attributes.iter().filter(|it| it.key == key);
    let found = all.next()?.value.clone()?.value;
    assert!(all.next().is_none(), "{key} is there twice");
    found
}

#[test]
fn hostile_texts_and_labels_arrive_as_they_are() {
    const HOSTILE: &str = "\0\"}]\n</script>\u{202e}\\u0000 🦀";
    let trace = Trace::new();
    let scope = trace.inject();
    let call = call!("{HOSTILE}", rows = HOSTILE);
    call.checkpoint(HOSTILE);
    call.fail(HOSTILE);
    call.stop();
    drop(scope);
    let empty = Trace::new();
    let all = spans(&[&trace, &empty]);
    assert_eq!((all[0].len(), all[1].len()), (2, 1));
    let [root, call] = &all[0][..] else { panic!() };
    let text = || Some(Value::StringValue(HOSTILE.to_owned()));
    assert_eq!(attribute(call, "tracer.call_id"), text());
    assert_eq!(attribute(call, "rows"), text());
    assert_eq!(call.status.as_ref().unwrap().message, HOSTILE);
    assert_eq!(call.events[0].name, HOSTILE);
    let report = trace.report();
    assert_eq!(call.trace_id, report.trace_id.unwrap().to_bytes());
    assert_eq!(call.span_id, report.calls[0].span_id.unwrap().to_bytes());
    assert_eq!(call.parent_span_id, root.span_id);
    assert_eq!(root.parent_span_id, [0; 0]);
}

#[test]
fn folded_calls_are_events_with_their_sums_and_no_spans() {
    let trace = Trace::with_limits(10, Limits::default().calls(1));
    let scope = trace.inject();
    let outer = call!("outer");
    for _ in 0..7 {
        let _row = call!("row");
        allocate(2);
    }
    outer.stop();
    drop(scope);
    let all = spans(&[&trace]).remove(0);
    let [root, outer] = &all[..] else {
        panic!("{all:?}")
    };
    let int = |number| Some(Value::IntValue(number));
    assert_eq!(attribute(root, "tracer.folded_calls"), int(7));
    assert_eq!(attribute(outer, "heap.allocations"), int(14));
    assert_eq!(attribute(outer, "heap.self.allocations"), int(0));
    let [event] = &outer.events[..] else { panic!() };
    assert_eq!(
        (&*event.name, event.time_unix_nano),
        ("folded calls", outer.end_time_unix_nano)
    );
    let attribute = |key: &str| {
        let found = event.attributes.iter().find(|it| it.key == key);
        found.and_then(|it| it.value.clone()?.value)
    };
    assert_eq!(attribute("tracer.folded.calls"), int(7));
    assert_eq!(attribute("heap.allocations"), int(14));
}

#[test]
fn calls_have_the_bytes_that_they_keep_also_below_0() {
    let trace = Trace::new();
    let scope = trace.inject();
    let outer = call!("outer");
    let text = {
        let _keeps = call!("keeps");
        "x".repeat(1_000)
    };
    {
        let _frees = call!("frees");
        drop(text);
    }
    outer.stop();
    drop(scope);
    let all = spans(&[&trace]).remove(0);
    let net = all.iter().map(|span| attribute(span, "heap.net_bytes"));
    let expected = [0, 0, 1_000, -1_000].map(|bytes| Some(Value::IntValue(bytes)));
    assert_eq!(net.collect::<Vec<_>>(), expected);
}
