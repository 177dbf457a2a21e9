//! Charts as they are drawn.

use crate::report::{Outcome, Request};
use crate::store::trace::Trace;

use super::*;

/// 2026-11-29 16:00:30 UTC.
fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_795_968_030)
}

fn asked() -> Asked {
    let asked = Asked {
        base: "/t".to_owned(),
        home: "/t".to_owned(),
        here: "/t".to_owned(),
        path: Vec::new(),
        query: Vec::new(),
        raw_query: String::new(),
        raw_path: String::new(),
        is_json: false,
        is_of_files: false,
        when: std::sync::OnceLock::new(),
    };
    let _ = asked.when.set(When::utc(now()));
    asked
}

/// The minute that began so many minutes before the present one.
fn minute(before: i64, requests: u64, failed: u64, p99_wall: Duration) -> Minute {
    let started = u64::try_from(1_795_968_000 - before * 60).unwrap();
    Minute {
        started: UNIX_EPOCH + Duration::from_secs(started),
        requests,
        failed,
        panicked: 0,
        cancelled: 0,
        wall: p99_wall * 2,
        max_wall: p99_wall,
        p99_wall,
        p99_is_bound: before == 1,
        allocates: Some(requests * 20),
        bytes_allocated: Some(requests * 100),
    }
}

fn kept() -> Vec<Arc<Report>> {
    let mut report = Trace::empty().report();
    (report.trace, report.elapsed) = (42, Duration::from_millis(40));
    report.started = now() - Duration::from_secs(59 * 60 + 30);
    vec![Arc::new(report)]
}

#[test]
fn figures_are_drawn_at_their_minutes_and_gaps_stay_empty() {
    let minutes = [
        minute(180, 9, 9, Duration::from_secs(9)),
        minute(60, 10, 1, Duration::from_millis(40)),
        minute(1, 5, 0, Duration::from_millis(2)),
        minute(-1, 3, 0, Duration::from_millis(2)),
    ];
    let (asked, kept) = (asked(), kept());
    let timeline = Timeline::of(&asked, &minutes, &kept);
    let drawn = |chart: Markup| chart.into_string().replace("><", ">\n<");
    assert_eq!(drawn(timeline.errors(Some(&kept[0]))), ERRORS);
    assert_eq!(drawn(timeline.times(None)), TIMES);
    let all = timeline.draw(None).into_string();
    assert!(all.contains("Each minute of the last 3 hours;"), "{all}");
    assert!(
        all.contains("Not shown: 3 requests in minutes that are yet to come."),
        "{all}"
    );
}

#[test]
fn errors_lead_to_requests_that_failed_and_not_to_cancelled_ones() {
    let minutes = [minute(60, 10, 1, Duration::from_millis(40))];
    let asked = asked();
    let marks = |outcome: Outcome| {
        let mut report = kept()[0].as_ref().clone();
        report.request = Some(Box::new(Request {
            name: "GET /".to_owned(),
            id: None,
            labels: Vec::new(),
            wall: report.elapsed,
            outcome,
            reasons: Vec::new(),
            compared: None,
        }));
        let kept = [Arc::new(report)];
        let chart = Timeline::of(&asked, &minutes, &kept).errors(None);
        chart.into_string().matches("<circle").count()
    };
    assert_eq!(marks(Outcome::Failed(String::new())), 1);
    assert_eq!(
        (marks(Outcome::Panicked), marks(Outcome::Cancelled)),
        (1, 0)
    );
}

#[test]
fn the_first_half_hour_fills_the_chart() {
    let minutes = [29, 28, -1].map(|before| minute(before, 5, 0, Duration::from_millis(2)));
    let asked = asked();
    let shown = |minutes: &[Minute]| {
        let chart = Timeline::of(&asked, minutes, &[])
            .requests(None)
            .into_string();
        let bars = chart
            .split("<rect")
            .skip(1)
            .map(|bar| bar.split('"').nth(3).unwrap().to_owned());
        let times = chart
            .split("middle\">")
            .skip(1)
            .map(|text| text[..5].to_owned());
        (bars.collect::<Vec<_>>(), times.collect::<Vec<_>>())
    };
    let texts = |texts: &[&str]| texts.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
    let times = texts(&["15:35", "15:40", "15:45", "15:50", "15:55"]);
    assert_eq!(
        shown(&minutes),
        (texts(&["0.000%", "3.333%"]), times.clone())
    );
    // Yesterday's are not shown in any case.
    let before = [180, 29].map(|before| minute(before, 5, 0, Duration::from_millis(2)));
    assert_eq!(shown(&before), (texts(&["0.000%"]), times));
    let before = [30, 29].map(|before| minute(before, 5, 0, Duration::from_millis(2)));
    assert_eq!(shown(&before).0, ["82.777%", "83.333%"]);
    assert!(shown(&[]).0.is_empty());
}

const ERRORS: &str = r#"<figure>
<figcaption>Errors <span class="faint">1 error</span>
</figcaption>
<svg width="100%" height="120" role="group" aria-label="Errors of each minute from 13:01 to 16:00: 1 error">
<line class="grid" x1="0" x2="100%" y1="102" y2="102">
</line>
<line class="grid" x1="0" x2="100%" y1="8" y2="8">
</line>
<text x="-6" y="12" text-anchor="end">1</text>
<line class="grid" x1="16.111%" x2="16.111%" y1="102" y2="106">
</line>
<text x="16.111%" y="117" text-anchor="middle">13:30</text>
<line class="grid" x1="32.777%" x2="32.777%" y1="102" y2="106">
</line>
<text x="32.777%" y="117" text-anchor="middle">14:00</text>
<line class="grid" x1="49.444%" x2="49.444%" y1="102" y2="106">
</line>
<text x="49.444%" y="117" text-anchor="middle">14:30</text>
<line class="grid" x1="66.111%" x2="66.111%" y1="102" y2="106">
</line>
<text x="66.111%" y="117" text-anchor="middle">15:00</text>
<line class="grid" x1="82.777%" x2="82.777%" y1="102" y2="106">
</line>
<text x="82.777%" y="117" text-anchor="middle">15:30</text>
<line class="here" x1="66.666%" x2="66.666%" y1="0" y2="102">
</line>
<rect class="failed" x="66.111%" y="8" width="0.500%" height="94">
<title>15:00 1 error</title>
</rect>
</svg>
</figure>"#;
const TIMES: &str = r#"<figure>
<figcaption>p99 <span class="faint">at most 40.0 ms</span>
</figcaption>
<svg width="100%" height="120" role="group" aria-label="p99 of each minute from 13:01 to 16:00: at most 40.0 ms">
<line class="grid" x1="0" x2="100%" y1="102" y2="102">
</line>
<text x="-6" y="106" text-anchor="end">1 ms</text>
<line class="grid" x1="0" x2="100%" y1="56" y2="56">
</line>
<text x="-6" y="60" text-anchor="end">10 ms</text>
<line class="grid" x1="0" x2="100%" y1="10" y2="10">
</line>
<text x="-6" y="14" text-anchor="end">100 ms</text>
<line class="grid" x1="16.111%" x2="16.111%" y1="102" y2="106">
</line>
<text x="16.111%" y="117" text-anchor="middle">13:30</text>
<line class="grid" x1="32.777%" x2="32.777%" y1="102" y2="106">
</line>
<text x="32.777%" y="117" text-anchor="middle">14:00</text>
<line class="grid" x1="49.444%" x2="49.444%" y1="102" y2="106">
</line>
<text x="49.444%" y="117" text-anchor="middle">14:30</text>
<line class="grid" x1="66.111%" x2="66.111%" y1="102" y2="106">
</line>
<text x="66.111%" y="117" text-anchor="middle">15:00</text>
<line class="grid" x1="82.777%" x2="82.777%" y1="102" y2="106">
</line>
<text x="82.777%" y="117" text-anchor="middle">15:30</text>
<rect class="time" x="66.111%" y="27" width="0.500%" height="3">
<title>15:00 40.0 ms</title>
</rect>
<rect class="time" x="98.888%" y="88" width="0.500%" height="3">
<title>15:59 ≤ 2.00 ms</title>
</rect>
<a href="/t/trace/42" aria-label="15:01 40.0 ms">
<title>15:01 40.0 ms</title>
<circle cx="66.666%" cy="28" r="4">
</circle>
</a>
</svg>
</figure>"#;
