//! What the page shows of other services and tools: trace ids, the caller's call, links.

use axum::Router;
use tracer::call;
use tracer::propagation::TraceContext;
use tracer::web::Page;

use crate::PATIENCE;
use crate::site::{Site, recorder, values};

const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn site() -> Site {
    let recorder = recorder();
    let page = Page::with_token(recorder.clone(), "a token of 16 or more")
        .unwrap()
        .link("<Jaeger>", "https://jaeger.example/trace/{trace_id}")
        .unwrap()
        .link(
            "Logs",
            "http://logs:9000?q={request_id}&from=now-1h#{trace_id}",
        )
        .unwrap();
    // By a rule of the program, which has the links, too.
    let app = Router::new().nest("/debug", page.router_for(|_| true));
    Site::serve(recorder, app, false)
}

/// Records a request that continues another service's trace, and fails.
fn fails(site: &Site, id: Option<&str>) -> u64 {
    let mut recording = site.recorder.begin("GET /orders/{id}");
    if let Some(id) = id {
        recording.id(id);
    }
    let context: TraceContext = VALID.parse().unwrap();
    recording.trace().continue_from(&context);
    recording.fail("lost the disk");
    let trace = recording.trace().id();
    drop(recording);
    assert!(site.recorder.flush(PATIENCE));
    trace
}

/// Returns the addresses of a page that lead to other hosts.
fn elsewhere(body: &str) -> Vec<String> {
    let all = body.split("<a href=\"http").skip(1);
    let all = all.map(|link| {
        let (address, rest) = link.split_once('"').unwrap();
        assert!(rest.starts_with(" rel=\"noreferrer noopener\">"), "{rest}");
        format!("http{}", address.replace("&amp;", "&"))
    });
    all.collect()
}

#[test]
fn a_kept_request_leads_to_other_tools() {
    let site = site();
    let hostile = "a/../b?c&d#e\"><script>é\u{202e}\n";
    let trace = fails(&site, Some(hostile));
    let expected = [
        "https://jaeger.example/trace/4bf92f3577b34da6a3ce929d0e0e4736",
        "http://logs:9000?q=a%2F%2E%2E%2Fb%3Fc%26d%23e%22%3E%3Cscript%3E%C3%A9%E2%80%AE%0A&from=now-1h#4bf92f3577b34da6a3ce929d0e0e4736",
    ];
    let pages = [
        "",
        "/route?name=GET%20%2Forders%2F%7Bid%7D",
        &format!("/trace/{trace}"),
    ];
    for path in pages {
        let (head, body) = site.ask(&format!("GET /debug{path}"), "");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert!(head.contains("referrer-policy: no-referrer"), "{head}");
        assert!(head.contains("form-action 'self'"), "{head}");
        let found = elsewhere(&body);
        // The overview has a list of failures and one of the slowest.
        assert!(
            !found.is_empty() && found.chunks(2).all(|links| links == expected),
            "{path}: {found:?}"
        );
        assert!(body.contains("&lt;Jaeger&gt;</a>"), "{body}");
        assert!(!body.contains("<script") && !body.contains("<Jaeger>"));
        assert!(body.contains("4bf92f3577b34da6a3ce929d0e0e4736"), "{path}");
    }
    let (_, body) = site.ask(&format!("GET /debug/trace/{trace}"), "");
    assert!(
        body.contains("called by span <b>00f067aa0ba902b7</b>"),
        "{body}"
    );
    let (_, json) = site.ask(&format!("GET /debug/trace/{trace}/json"), "");
    assert!(
        json.contains("\"parent_span\":\"00f067aa0ba902b7\""),
        "{json}"
    );
    let (_, text) = site.ask(&format!("GET /debug/trace/{trace}/text"), "");
    let line = format!("trace {trace} 4bf92f3577b34da6a3ce929d0e0e4736: ");
    assert!(text.lines().any(|it| it.starts_with(&line)), "{text}");
}

#[test]
fn a_request_without_an_id_has_only_the_links_that_need_none() {
    let site = site();
    let trace = fails(&site, None);
    let (_, body) = site.ask(&format!("GET /debug/trace/{trace}"), "");
    assert_eq!(
        elsewhere(&body),
        ["https://jaeger.example/trace/4bf92f3577b34da6a3ce929d0e0e4736"]
    );
}

#[test]
fn a_page_without_links_leads_nowhere_else() {
    let site = Site::new();
    let trace = fails(&site, Some("7"));
    for path in ["", &*format!("/trace/{trace}")] {
        let (_, body) = site.get(&format!("/debug/traces{path}"), "");
        assert!(
            values(&body, "href").all(|it| it.starts_with('/')),
            "{body}"
        );
        assert!(!body.contains("Elsewhere"), "{body}");
    }
}

#[test]
fn a_request_in_flight_has_its_trace_id() {
    let site = site();
    let recording = site.recorder.begin("GET /slow");
    let _scope = recording.inject();
    let _call = call!();
    let id = recording.trace().trace_id().unwrap().to_string();
    let (_, body) = site.ask("GET /debug/in-flight", "");
    assert!(body.contains(&id), "{body}");
    let now = site.recorder.in_flight().remove(0);
    assert_eq!(now.now.trace_id, recording.trace().trace_id());
    let mut dump = Vec::new();
    site.recorder.dump(&mut dump).unwrap();
    let dump = String::from_utf8(dump).unwrap();
    let line = format!(", trace {} {id}: ", recording.trace().id());
    assert!(dump.lines().nth(1).unwrap().contains(&line), "{dump}");
}
