//! A small report, as spans.

use crate::report::{Report, json};

/// A request of HTTP that failed, as a recorder writes it to its file.
const REPORT: &str = concat!(
    r#"{"tracer_report":1,"request":{"name":"GET /orders/{id}","id":"ca7a87c4","#,
    r#""labels":{"path":"/orders/7","status":"500","sent":"21","frames":"1","tenant":"a\"b","tracer.kept":"no","":"x"},"#,
    r#""wall_ns":2000,"outcome":"failed","message":"500: no row","reasons":["failed","slow"],"#,
    r#""compared":{"calls":1,"wall_ns":2000,"allocates":12,"net_bytes":12,"of":40,"requests":40,"#,
    r#""usual_calls":{"p50":1,"p95":1,"p99":1,"max":1},"usual_wall_ns":{"p50":900,"p95":950,"p99":990,"max":999},"#,
    r#""usual_allocates":{"p50":4,"p95":5,"p99":6,"max":7},"usual_net_bytes":{"p50":0,"p95":8,"p99":9,"max":10}}},"#,
    r#""trace":7,"trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","span_id":"00f067aa0ba902b7","parent_span":"b7ad6b7169203331","#,
    r#""tracestate":"rojo=1","started_unix_ns":1763942400000000001,"elapsed_ns":2000,"memory_bytes":4096,"#,
    r#""total":{"allocations":10,"reallocations":2,"deallocations":9,"bytes_allocated":512,"bytes_deallocated":500},"#,
    r#""calls":[{"name":"handle","module":"shop::web","file":"src/web.rs","line":12,"id":"7","labels":{"rows":"3"},"#,
    r#""span_id":"00000000000000a1","strand":0,"thread":{"number":1,"name":"main"},"start_ns":5,"wall_ns":1990,"self_wall_ns":990,"#,
    r#""busy_ns":1500,"self_busy_ns":500,"#,
    r#""total":{"allocations":10,"reallocations":2,"deallocations":9,"bytes_allocated":512,"bytes_deallocated":500},"#,
    r#""self":{"allocations":1,"reallocations":0,"deallocations":1,"bytes_allocated":8,"bytes_deallocated":8},"#,
    r#""peak_bytes":256,"outcome":"failed","message":"no row","#,
    r#""checkpoints":[{"name":"asked","at_ns":3,"wall_ns":3}]},"#,
    r#"{"name":"query","module":"shop::db","file":"src/db.rs","line":3,"parent":0,"span_id":"00000000000000a2","strand":1,"#,
    r#""thread":{"number":2},"start_ns":8,"wall_ns":600,"self_wall_ns":600,"busy_ns":600,"self_busy_ns":600,"outcome":"cancelled","moved":true}],"#,
    r#""folded":[{"name":"row","module":"shop::db","file":"src/db.rs","line":40,"parent":1,"calls":1000,"failures":1,"#,
    r#""wall_ns":500,"self_wall_ns":300,"busy_ns":400,"self_busy_ns":350}]}"#,
);

/// Attributes are on one line each here: `key value`.
const EXPECTED: &str = r#"
SERVER GET /orders/{id} 00f067aa0ba902b7 in b7ad6b7169203331 of 4bf92f3577b34da6a3ce929d0e0e4736 rojo=1 flags 768
  1763942400000000001 to 1763942400000002001
  error 500: no row
  tracer.kept {"boolValue":true}
  tracer.reason {"arrayValue":{"values":[{"stringValue":"failed"},{"stringValue":"slow"}]}}
  tracer.request_id {"stringValue":"ca7a87c4"}
  tracer.trace {"intValue":"7"}
  heap.allocations {"intValue":"12"}
  heap.bytes {"intValue":"512"}
  heap.frees {"intValue":"9"}
  heap.freed_bytes {"intValue":"500"}
  heap.net_bytes {"intValue":"12"}
  tracer.outcome {"stringValue":"failed"}
  tracer.folded_calls {"intValue":"1000"}
  tracer.wall_ns {"intValue":"2000"}
  tracer.stands_out {"boolValue":true}
  tracer.baseline.requests {"intValue":"40"}
  tracer.baseline.requests_with {"intValue":"40"}
  tracer.path.calls {"intValue":"1"}
  tracer.path.wall_ns {"intValue":"2000"}
  tracer.baseline.calls_p50 {"intValue":"1"}
  tracer.baseline.calls_p95 {"intValue":"1"}
  tracer.baseline.wall_p50_ns {"intValue":"900"}
  tracer.baseline.wall_p95_ns {"intValue":"950"}
  tracer.path.allocations {"intValue":"12"}
  tracer.baseline.allocations_p50 {"intValue":"4"}
  tracer.baseline.allocations_p95 {"intValue":"5"}
  tracer.path.net_bytes {"intValue":"12"}
  tracer.baseline.net_bytes_p50 {"intValue":"0"}
  tracer.baseline.net_bytes_p95 {"intValue":"8"}
  http.request.method {"stringValue":"GET"}
  http.route {"stringValue":"/orders/{id}"}
  url.path {"stringValue":"/orders/7"}
  http.response.status_code {"intValue":"500"}
  http.response.body.size {"intValue":"21"}
  frames {"stringValue":"1"}
  tenant {"stringValue":"a\"b"}
INTERNAL handle 00000000000000a1 in 00f067aa0ba902b7 of 4bf92f3577b34da6a3ce929d0e0e4736 rojo=1 flags 256
  1763942400000000006 to 1763942400000001996
  error no row
  code.function.name {"stringValue":"shop::web::handle"}
  code.file.path {"stringValue":"src/web.rs"}
  code.line.number {"intValue":"12"}
  thread.id {"intValue":"1"}
  thread.name {"stringValue":"main"}
  heap.allocations {"intValue":"12"}
  heap.bytes {"intValue":"512"}
  heap.frees {"intValue":"9"}
  heap.freed_bytes {"intValue":"500"}
  heap.net_bytes {"intValue":"12"}
  heap.self.allocations {"intValue":"1"}
  heap.self.bytes {"intValue":"8"}
  heap.peak_bytes {"intValue":"256"}
  tracer.busy_ns {"intValue":"1500"}
  tracer.self_ns {"intValue":"990"}
  tracer.self_busy_ns {"intValue":"500"}
  tracer.call_id {"stringValue":"7"}
  tracer.outcome {"stringValue":"failed"}
  rows {"stringValue":"3"}
  event asked 1763942400000000009
    tracer.wall_ns {"intValue":"3"}
INTERNAL query 00000000000000a2 in 00000000000000a1 of 4bf92f3577b34da6a3ce929d0e0e4736 rojo=1 flags 256
  1763942400000000009 to 1763942400000000609
  code.function.name {"stringValue":"shop::db::query"}
  code.file.path {"stringValue":"src/db.rs"}
  code.line.number {"intValue":"3"}
  thread.id {"intValue":"2"}
  tracer.busy_ns {"intValue":"600"}
  tracer.self_ns {"intValue":"600"}
  tracer.self_busy_ns {"intValue":"600"}
  tracer.moved {"boolValue":true}
  tracer.outcome {"stringValue":"cancelled"}
  event folded calls 1763942400000000609
    code.function.name {"stringValue":"shop::db::row"}
    code.file.path {"stringValue":"src/db.rs"}
    code.line.number {"intValue":"40"}
    tracer.folded.calls {"intValue":"1000"}
    tracer.folded.failures {"intValue":"1"}
    tracer.wall_ns {"intValue":"500"}
    tracer.busy_ns {"intValue":"400"}
    tracer.self_ns {"intValue":"300"}
    tracer.self_busy_ns {"intValue":"350"}
"#;

fn report(line: &str) -> Report {
    json::Lines::new(line.as_bytes()).next().unwrap().unwrap()
}

fn in_json(report: &Report) -> serde_json::Value {
    let mut line = Vec::new();
    super::write_line(report, &mut line).unwrap();
    serde_json::from_slice(&line).unwrap()
}

/// Returns the spans of a request to a collector, a line for each part.
fn shown(request: &serde_json::Value) -> String {
    use std::fmt::Write;
    let text = |value: &serde_json::Value| value.as_str().unwrap_or("none").to_owned();
    let mut out = String::from("\n");
    let attributes = |out: &mut String, indent: &str, of: &serde_json::Value| {
        for attribute in of["attributes"].as_array().unwrap() {
            let (key, value) = (text(&attribute["key"]), &attribute["value"]);
            writeln!(out, "{indent}{key} {value}").unwrap();
        }
    };
    for span in { request["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array() }.unwrap() {
        let kind = usize::try_from(span["kind"].as_u64().unwrap()).unwrap();
        let kind = ["", "INTERNAL", "SERVER", "CLIENT"][kind];
        let [name, id, parent] = ["name", "spanId", "parentSpanId"].map(|key| text(&span[key]));
        let [trace, state] = ["traceId", "traceState"].map(|key| text(&span[key]));
        let flags = &span["flags"];
        writeln!(
            out,
            "{kind} {name} {id} in {parent} of {trace} {state} flags {flags}"
        )
        .unwrap();
        let [start, end] = ["startTimeUnixNano", "endTimeUnixNano"].map(|key| text(&span[key]));
        writeln!(out, "  {start} to {end}").unwrap();
        if let Some(status) = span.get("status") {
            assert_eq!(status["code"], 2);
            writeln!(out, "  error {}", text(&status["message"])).unwrap();
        }
        attributes(&mut out, "  ", span);
        for event in span
            .get("events")
            .and_then(|it| it.as_array())
            .into_iter()
            .flatten()
        {
            let (name, time) = (text(&event["name"]), text(&event["timeUnixNano"]));
            writeln!(out, "  event {name} {time}").unwrap();
            attributes(&mut out, "    ", event);
        }
    }
    out
}

#[test]
fn each_part_of_a_report_has_its_place() {
    let request = in_json(&report(REPORT));
    let shown = shown(&request);
    assert_eq!(shown, EXPECTED, "{shown}");
    let resource = &request["resourceSpans"][0]["resource"]["attributes"];
    assert_eq!(resource[0]["value"]["stringValue"], "unknown_service");
    let scope = &request["resourceSpans"][0]["scopeSpans"][0]["scope"];
    assert_eq!(scope["name"], "tracer");
}

#[test]
fn requests_without_a_route_or_a_known_method_follow_the_conventions() {
    let of = |name: &str, labels: &str| {
        let line = REPORT.replace("GET /orders/{id}", name);
        let line = line.replace(
            r#""labels":{"path""#,
            &format!(r#""labels":{{{labels}"path""#),
        );
        let shown = shown(&in_json(&report(&line)));
        let of_http = shown.lines().filter(|line| line.starts_with("  http.r"));
        of_http
            .map(str::trim)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let status = r#"http.response.status_code {"intValue":"500"}"#;
    let size = r#"http.response.body.size {"intValue":"21"}"#;
    let get = r#"http.request.method {"stringValue":"GET"}"#;
    assert_eq!(of("GET (no route)", ""), [get, status, size]);
    assert_eq!(of("GET", ""), [get, status, size]);
    let other = r#"http.request.method {"stringValue":"_OTHER"}"#;
    let original = r#"http.request.method_original {"stringValue":"BREW"}"#;
    let route = r#"http.route {"stringValue":"/pot"}"#;
    assert_eq!(
        of("HTTP /pot", r#""method":"BREW","#),
        [other, original, route, status, size]
    );
    // A job that happens to have a label of that name.
    assert_eq!(of("resize image", ""), [""; 0]);
}

#[test]
fn reports_of_earlier_versions_have_ids_that_are_made() {
    let cut = |line: &str, from: &str, to: &str| {
        let (before, after) = line.split_once(from).unwrap();
        format!("{before}{}", after.split_once(to).unwrap().1)
    };
    let line = cut(REPORT, r#""trace_id""#, r#""b7ad6b7169203331","#);
    let line = cut(&line, r#""span_id""#, ",");
    let line = cut(&line, r#""span_id""#, ",");
    let request = in_json(&report(&line));
    let spans = &request["resourceSpans"][0]["scopeSpans"][0]["spans"];
    let ids: Vec<_> = (0..3)
        .map(|at| spans[at]["spanId"].as_str().unwrap())
        .collect();
    assert!(
        ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2],
        "{ids:?}"
    );
    assert_eq!(spans[0].get("parentSpanId"), None);
    assert_eq!(spans[1]["parentSpanId"], ids[0]);
    assert_eq!(spans[2]["parentSpanId"], ids[1]);
    // Each time the same.
    assert_eq!(request, in_json(&report(&line)));
}

#[test]
fn a_trace_without_a_recorder_is_one_too() {
    let line = r#"{"tracer_report":1,"trace":0,"started_unix_ns":-5,"elapsed_ns":0,"memory_bytes":0,"calls":[]}"#;
    let request = in_json(&report(line));
    let span = &request["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
    assert_eq!((&span["name"], &span["kind"]), (&"trace".into(), &1.into()));
    assert_eq!(span["traceId"], "00000000000000000000000000000001");
    assert_ne!(span["spanId"], "0000000000000000");
}
