//! The pages as JSON.

use crate::search::json;
use crate::site::{Site, status};

#[test]
fn every_page_is_json_too() {
    let site = Site::new();
    site.work();
    let _in_flight = site.recorder.begin("GET /slow");
    let trace = site.recorder.kept()[0].trace;
    let route = "GET%20%2F%3Cscript%3Ealert%281%29%3C%2Fscript%3E%1B%5B2J%0A%22%27%26";
    for (path, name) in [
        ("", "overview"),
        ("/search", "search"),
        ("/failures", "failures"),
        (&format!("/route?name={route}"), "route"),
        (&format!("/trace/{trace}"), "trace"),
        (&format!("/compare?a={trace}&b={trace}"), "compare"),
        ("/hotspots", "hotspots"),
        ("/in-flight", "in-flight"),
    ] {
        let page = json(&site, path);
        assert_eq!(
            (&page["tracer_page"], &page["page"]),
            (&1.into(), &name.into())
        );
        for (accept, is_json) in [
            ("application/json", true),
            ("text/plain, Application/JSON;q=0.5", true),
            ("text/html, application/json", false),
            ("*/*", false),
        ] {
            let headers = format!("accept: {accept}\r\n");
            let (head, _) = site.get(&format!("/debug/traces{path}"), &headers);
            assert_eq!(
                head.contains("content-type: application/json"),
                is_json,
                "{accept}"
            );
        }
        // Nothing that a terminal would interpret.
        let (_, body) = site.get(
            &format!("/debug/traces{path}"),
            "accept: application/json\r\n",
        );
        assert!(
            body.trim_end().chars().all(|it| !it.is_control()),
            "{body:?}"
        );
    }
    let overview = json(&site, "");
    let kept = site.recorder.statistics().kept;
    assert_eq!(
        (
            &overview["statistics"]["ended"],
            &overview["statistics"]["kept"]
        ),
        (&200.into(), &kept.into())
    );
    let p50 = &overview["routes"][0]["recent"]["wall_ns"]["p50"];
    assert!(p50.as_u64().is_some_and(|it| it > 0), "{p50}");
    assert_eq!(
        (&overview["counted"], &overview["failures"][0]["failures"]),
        (&true.into(), &1.into())
    );
    let slowest = &overview["slowest"][0];
    let report = site
        .recorder
        .get(slowest["trace"].as_u64().unwrap())
        .unwrap();
    let mut whole = serde_json::to_value(&*report).unwrap();
    whole["in_memory"] = true.into();
    for (name, value) in slowest.as_object().unwrap() {
        assert_eq!(&whole[name], value, "{name}");
    }
    let newest = { overview["newest"].as_array().unwrap().iter() }.map(|it| &it["trace"]);
    let kept = site.recorder.kept();
    let last = kept.iter().take(100).map(|it| it.trace);
    assert!(newest.eq(last.map(serde_json::Value::from).collect::<Vec<_>>().iter()));
    let failures = overview["newest_failures"].as_array().unwrap();
    assert_eq!(failures.len(), 1);
    assert_eq!(failures[0]["request"]["outcome"], "failed");
    let of_route = json(&site, &format!("/route?name={route}"));
    let of_minutes = |field: &str| {
        let minutes = of_route["minutes"].as_array().unwrap().iter();
        minutes.map(|it| it[field].as_u64().unwrap()).sum::<u64>()
    };
    let [ended, failed] = ["requests", "failed"].map(of_minutes);
    assert_eq!((ended, failed), (200, 1));
    let compared = json(&site, &format!("/compare?a={trace}&b={trace}"));
    let of_path = |it: &serde_json::Value| {
        (
            it["depth"].clone(),
            it["a"]["calls"].clone(),
            it["a"] == it["b"],
        )
    };
    let paths: Vec<_> = { compared["calls"].as_array().unwrap().iter() }
        .map(of_path)
        .collect();
    assert_eq!(
        (&compared["a"]["trace"], paths),
        (
            &trace.into(),
            vec![(0.into(), 1.into(), true), (1.into(), 37.into(), true)]
        )
    );
    let in_flight = json(&site, "/in-flight");
    assert_eq!(
        (&in_flight["in_flight"], &in_flight["requests"][0]["name"]),
        (&1.into(), &"GET /slow".into())
    );
    let hotspots = json(&site, "/hotspots?by=self-allocations");
    assert_eq!(
        (&hotspots["by"], &hotspots["reports"]),
        (&"self-allocations".into(), &200.into())
    );
    assert_eq!(
        hotspots["functions"][0]["self"]["allocations"],
        3 * (199 + 37)
    );

    // Errors, and for strangers.
    let (head, body) = site.get("/debug/traces/nothing-here?format=json", "");
    assert_eq!(status(&head), "404");
    assert!(
        body.starts_with("{\"tracer_page\":1,\"page\":\"error\",\"status\":404,"),
        "{body}"
    );
    let (head, body) = site.ask("GET /debug/traces/search", "accept: application/json\r\n");
    assert_eq!(status(&head), "401");
    assert!(head.contains("www-authenticate: Bearer"), "{head}");
    assert!(
        body.starts_with("{\"tracer_page\":1,\"page\":\"error\",\"status\":401,"),
        "{body}"
    );
}
