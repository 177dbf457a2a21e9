//! Failures that are the same, in groups.

use serde_json::Value;
use tracer::Outcome;

use crate::PATIENCE;
use crate::search::{ids, json, record, recorder};
use crate::site::Site;

#[test]
fn equal_failures_are_one_group() {
    let site = Site::mounted(recorder(None));
    let recorder = &site.recorder;
    for number in 0..28 {
        let message = format!("CHECK constraint 'c{number}' failed for order {number}");
        record(
            recorder,
            "POST /message",
            &format!("{number}"),
            number % 7,
            Some(&message),
        );
    }
    record(
        recorder,
        "GET /message",
        "other",
        1,
        Some("CHECK constraint 'c1' failed for order 1"),
    );
    for _ in 0..12 {
        record(recorder, "POST /message", "ok", 1, None);
    }
    for _ in 0..2 {
        let mut panicked = recorder.begin("GET /message");
        panicked.outcome(Outcome::Panicked);
        panicked.finish();
    }
    assert!(recorder.flush(PATIENCE));
    let page = json(&site, "/failures");
    assert_eq!(
        (&page["failures"], &page["ungrouped"], &page["at_least"]),
        (&31.into(), &0.into(), &false.into())
    );
    let groups = page["groups"].as_array().unwrap();
    let told: Vec<_> = { groups.iter() }
        .map(|it| {
            (
                it["route"].as_str().unwrap(),
                it["message"].as_str().unwrap(),
                &it["failures"],
                &it["route_ended"],
            )
        })
        .collect();
    let message = "CHECK constraint '…' failed for order #";
    assert_eq!(
        told,
        [
            ("POST /message", message, &Value::from(28), &Value::from(40)),
            ("GET /message", "panicked", &2.into(), &3.into()),
            ("GET /message", message, &1.into(), &3.into()),
        ]
    );
    // One click leads to the newest, the slowest and the heaviest.
    let kept = recorder.kept();
    let of_group: Vec<_> = { kept.iter() }
        .filter(|it| {
            let request = it.request.as_ref().unwrap();
            request.name == "POST /message" && request.outcome != Outcome::Ok
        })
        .collect();
    let newest = of_group.iter().max_by_key(|it| it.started).unwrap().trace;
    let slowest = of_group
        .iter()
        .map(|it| it.request.as_ref().unwrap().wall)
        .max()
        .unwrap();
    let heaviest = of_group
        .iter()
        .map(|it| it.total.unwrap().bytes_allocated)
        .max()
        .unwrap();
    let of_trace = |name: &str| {
        let trace = groups[0][name].as_u64().unwrap();
        recorder.get(trace).unwrap()
    };
    assert_eq!(groups[0]["newest"], newest);
    assert_eq!(of_trace("slowest").request.as_ref().unwrap().wall, slowest);
    assert_eq!(
        of_trace("heaviest").total.unwrap().bytes_allocated,
        heaviest
    );
    let query = groups[0]["query"].as_str().unwrap();
    assert_eq!(ids(&site, query).len(), 28);
    // On the overview, and on the route's page.
    for path in ["", "/failures", "/route?name=POST%20%2Fmessage"] {
        let (_, page) = site.get(&format!("/debug/traces{path}"), "");
        assert!(
            page.contains("CHECK constraint '…' failed for order #</a>"),
            "{page}"
        );
        assert!(
            page.contains("<td data-of=\"Share\">70.0%<span class=\"usual\">of 40</span></td>"),
            "{page}"
        );
        assert!(
            page.contains(&format!(
                "<a href=\"/debug/traces/trace/{newest}\">newest</a>"
            )),
            "{page}"
        );
    }
}
