//! Times on the page, and the charts of the last hours.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tracer::Report;
use tracer::recorder::{Policy, Recorder};

use crate::PATIENCE;
use crate::common::allocate;
use crate::site::{Site, values};

/// Returns the part of a time that is equal in all time zones whose offset is in whole minutes: `:07.123`.
fn seconds(at: SystemTime) -> String {
    let since_epoch = at.duration_since(UNIX_EPOCH).unwrap();
    format!(
        ":{:02}.{:03}",
        since_epoch.as_secs() % 60,
        since_epoch.subsec_millis()
    )
}

fn ended(report: &Report) -> SystemTime {
    report.started + report.request.as_ref().unwrap().wall
}

/// A page with requests that allocate three times: ten that fail, and thirty that are not kept.
fn site() -> Site {
    let recorder = Recorder::builder()
        .policy(Policy::none().failed())
        .start()
        .unwrap();
    let site = Site::mounted(recorder);
    for number in 0..40 {
        let mut recording = site.recorder.begin("GET /<b>");
        recording.id(format_args!("id-{number}"));
        let scope = recording.inject();
        allocate(3);
        drop(scope);
        if number % 4 == 0 {
            recording.fail("no database");
        }
    }
    assert!(site.recorder.flush(PATIENCE));
    site
}

const ROUTE: &str = "/debug/traces/route?name=GET%20%2F%3Cb%3E";

#[test]
fn lists_and_traces_show_when_it_was() {
    let site = site();
    let kept = site.recorder.kept();
    let report = &kept[0];
    let trace = format!("/debug/traces/trace/{}", report.trace);
    for path in ["/debug/traces", ROUTE, &trace] {
        let (_, page) = site.get(path, "");
        let shown = seconds(report.started);
        assert!(
            values(&page, "datetime").any(|it| it.contains(&shown)),
            "{path}: {shown}: {page}"
        );
        assert!(
            page.contains(&format!("{shown}</time>"))
                && [" ago</", ">just now</"].iter().any(|it| page.contains(it)),
            "{page}"
        );
        assert_eq!(page.matches("Times are UTC").count(), 1, "{page}");
    }
    let in_flight = site.recorder.begin("slow");
    let (_, page) = site.get("/debug/traces/in-flight", "");
    assert_eq!(
        page.matches("data-of=\"Began\"><time datetime=").count(),
        1,
        "{page}"
    );
    drop(in_flight);
}

#[test]
fn charts_have_the_figures_of_all_requests_and_lead_to_the_kept_ones() {
    let site = site();
    let (_, page) = site.get(ROUTE, "");
    let says: Vec<_> = { values(&page, "aria-label") }
        .filter_map(|it| {
            Some((
                it.split(" of each minute from ").next()?.to_owned(),
                it.rsplit_once(": ")?.1.to_owned(),
            ))
        })
        .filter(|(title, says)| !title.contains(says.as_str()))
        .collect();
    let sum = |title: &str| {
        let mut found = says.iter().filter(|(it, _)| it == title);
        found.next().map(|(_, says)| says.clone())
    };
    assert_eq!(sum("Requests").as_deref(), Some("40 requests"), "{says:?}");
    assert_eq!(sum("Errors").as_deref(), Some("10 errors"));
    assert_eq!(
        sum("Allocations of a request").as_deref(),
        Some("at most 3")
    );
    // In each minute, the slowest kept one is marked among the times.
    let kept = site.recorder.kept();
    let minute = |report: &Report| ended(report).duration_since(UNIX_EPOCH).unwrap().as_secs() / 60;
    let wall = |report: &Report| report.request.as_ref().unwrap().wall;
    for report in &kept {
        let others = kept.iter().filter(|it| minute(it) == minute(report));
        if others.map(|it| wall(it)).max() == Some(wall(report)) {
            let link = format!(
                "<a href=\"/debug/traces/trace/{}\" aria-label=\"",
                report.trace
            );
            assert!(page.contains(&link), "{link}: {page}");
        }
    }
    // The figures as a table.
    let minutes = site.recorder.minutes("GET /<b>");
    for figure in ["Requests", "Errors", "Max"] {
        assert_eq!(
            page.matches(&format!("data-of=\"{figure}\"")).count(),
            minutes.len()
        );
    }
    // A request is marked in its route's charts.
    let here = |query: &str| {
        site.get(&format!("{ROUTE}{query}"), "")
            .1
            .matches("class=\"here\"")
            .count()
    };
    assert_eq!(here(&format!("&trace={}", kept[0].trace)), 4);
    for nobody in [
        "",
        "&trace=",
        "&trace=99999999",
        "&trace=%3Cscript%3E",
        "&trace=-1",
    ] {
        assert_eq!(here(nobody), 0, "{nobody}");
    }
    // The overview has them in small, with a link.
    let (_, overview) = site.get("/debug/traces", "");
    assert!(
        overview.contains("aria-label=\"Requests of the last 30 minutes: 40, errors: 10\""),
        "{overview}"
    );
    assert!(
        overview.contains(&format!("href=\"{ROUTE}#minutes\"")),
        "{overview}"
    );
}

#[test]
fn a_trace_of_many_calls_is_shown_in_parts() {
    let recorder = Recorder::builder()
        .policy(Policy::none().slower_than(Duration::ZERO))
        .start()
        .unwrap();
    let site = Site::mounted(recorder);
    let recording = site.recorder.begin("loop");
    let scope = recording.inject();
    for number in 0..2500 {
        // A failure has a line of its own.
        tracer::call!("{number}").fail("no");
    }
    drop(scope);
    drop(recording);
    assert!(site.recorder.flush(PATIENCE));
    let trace = site.recorder.kept()[0].trace;
    let here = format!("/debug/traces/trace/{trace}");
    let numbers = |query: &str| -> (usize, Vec<String>) {
        let (head, page) = site.get(&format!("{here}{query}"), "");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let links = values(&page, "href").filter(|it| it.contains("?from="));
        (
            page.matches("<small>at ").count(),
            links
                .map(|it| it.split('?').nth(1).unwrap().to_owned())
                .collect(),
        )
    };
    let links = |links: &[&str]| links.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
    assert_eq!(numbers(""), (1000, links(&["from=1000", "from=1000"])));
    assert_eq!(
        numbers("?from=1000"),
        (1000, links(&["from=0", "from=2000", "from=0", "from=2000"]))
    );
    assert_eq!(
        numbers("?from=2000"),
        (500, links(&["from=1000", "from=1000"]))
    );
    let (_, page) = site.get(&here, "");
    assert!(page.len() < 520 * 1000, "{} bytes", page.len());
    assert_eq!(numbers("?from=18446744073709551615").0, 0);
    for wrong in ["?from=-1", "?from=x", "?from=99999999999999999999"] {
        assert_eq!(site.status(&format!("{here}{wrong}"), ""), "400", "{wrong}");
    }
}
