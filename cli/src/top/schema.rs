//! The page's JSON, as `docs/page-json.md` of the crate documents it. Fields that are not known are passed over,
//! and figures that are missing are 0 or not known: so pages of other versions can be read.

use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tracer::{Outcome, Report};

use super::model::{InFlight, Kept, Key, Overview, Problem, Route, Running, Totals};
use super::text::escaped;

/// The version of the schema that is read.
const VERSION: u64 = 1;

/// What each page begins with.
#[derive(Deserialize)]
struct Head {
    tracer_page: u64,
    page: String,
}

#[derive(Deserialize)]
struct OverviewPage {
    #[serde(default)]
    counted: bool,
    #[serde(default)]
    statistics: StatisticsOnPage,
    routes: Vec<RouteOnPage>,
    #[serde(default)]
    newest: Vec<KeptOnPage>,
    #[serde(default)]
    newest_failures: Vec<KeptOnPage>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct StatisticsOnPage {
    in_flight: u64,
    ended: u64,
    kept: u64,
    dropped: u64,
    in_memory_bytes: u64,
}

#[derive(Deserialize)]
struct RouteOnPage {
    name: String,
    #[serde(default)]
    in_flight: u64,
    #[serde(default)]
    ended: u64,
    #[serde(default)]
    kept: u64,
    #[serde(default)]
    recent: RecentOnPage,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RecentOnPage {
    failed: u64,
    panicked: u64,
    wall_ns: Option<PercentilesOnPage>,
    allocates: Option<PercentilesOnPage>,
}

#[derive(Deserialize)]
struct PercentilesOnPage {
    p50: u64,
    p99: u64,
}

#[derive(Deserialize)]
struct CountsOnPage {
    allocations: u64,
    #[serde(default)]
    reallocations: u64,
    bytes_allocated: u64,
}

impl CountsOnPage {
    fn allocates(&self) -> u64 {
        self.allocations.saturating_add(self.reallocations)
    }
}

#[derive(Deserialize)]
struct KeptOnPage {
    trace: u64,
    started_unix_ns: i64,
    #[serde(default)]
    elapsed_ns: u64,
    total: Option<CountsOnPage>,
    request: Option<RequestOnPage>,
}

#[derive(Deserialize)]
struct RequestOnPage {
    name: String,
    id: Option<String>,
    wall_ns: u64,
    outcome: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    reasons: Vec<String>,
}

#[derive(Deserialize)]
struct RoutePage {
    requests: Vec<KeptOnPage>,
}

#[derive(Deserialize)]
struct TracePage {
    report: Report,
}

#[derive(Deserialize)]
struct InFlightPage {
    in_flight: u64,
    requests: Vec<RunningOnPage>,
}

#[derive(Deserialize)]
struct RunningOnPage {
    name: String,
    id: Option<String>,
    trace: u64,
    #[serde(default)]
    started_unix_ns: i64,
    age_ns: u64,
    total: Option<Value>,
    #[serde(default)]
    open: Vec<Value>,
}

#[derive(Deserialize)]
struct ErrorPage {
    message: String,
}

pub(crate) fn overview(json: &[u8]) -> Result<Overview, Problem> {
    let page: OverviewPage = page("overview", json)?;
    let statistics = page.statistics;
    Ok(Overview {
        is_counted: page.counted,
        totals: Totals {
            ended: statistics.ended,
            in_flight: statistics.in_flight,
            kept: statistics.kept,
            dropped: statistics.dropped,
            in_memory_bytes: statistics.in_memory_bytes,
        },
        routes: page.routes.into_iter().map(route_of).collect(),
        newest: page.newest.into_iter().map(kept).collect(),
        failures: page.newest_failures.into_iter().map(kept).collect(),
        note: None,
        has_more: false,
    })
}

pub(crate) fn route(json: &[u8]) -> Result<Vec<Kept>, Problem> {
    let page: RoutePage = page("route", json)?;
    Ok(page.requests.into_iter().map(kept).collect())
}

pub(crate) fn trace(json: &[u8]) -> Result<Report, Problem> {
    let page: TracePage = page("trace", json)?;
    Ok(page.report)
}

pub(crate) fn in_flight(json: &[u8]) -> Result<InFlight, Problem> {
    let page: InFlightPage = page("in-flight", json)?;
    let requests: Result<_, _> = page.requests.into_iter().map(running).collect();
    Ok(InFlight {
        count: page.in_flight,
        requests: requests?,
    })
}

/// Returns the message of an error's page, if it is one.
pub(crate) fn error(json: &[u8]) -> Option<String> {
    let page: ErrorPage = page("error", json).ok()?;
    Some(escaped(&page.message))
}

fn page<T: DeserializeOwned>(name: &str, json: &[u8]) -> Result<T, Problem> {
    let unexpected = |why: &dyn std::fmt::Display| {
        let why = why.to_string();
        Problem(format!(
            "expected the page's JSON, {name}, version {VERSION}: {}",
            escaped(&why)
        ))
    };
    let head: Head = serde_json::from_slice(json).map_err(|why| unexpected(&why))?;
    if head.tracer_page != VERSION {
        return Err(unexpected(&format_args!(
            "it is version {}",
            head.tracer_page
        )));
    }
    if head.page != name {
        return Err(unexpected(&format_args!("it is {}", head.page)));
    }
    serde_json::from_slice(json).map_err(|why| unexpected(&why))
}

fn route_of(it: RouteOnPage) -> Route {
    let wall = it.recent.wall_ns.as_ref();
    Route {
        name: it.name,
        ended: it.ended,
        failed: it.recent.failed.saturating_add(it.recent.panicked),
        p50: wall.map(|it| Duration::from_nanos(it.p50)),
        p99: wall.map(|it| Duration::from_nanos(it.p99)),
        allocates: it.recent.allocates.as_ref().map(|it| it.p50),
        in_flight: it.in_flight,
        kept: it.kept,
    }
}

fn kept(it: KeptOnPage) -> Kept {
    let total = it.total.as_ref();
    let (allocates, bytes) = (
        total.map(CountsOnPage::allocates),
        total.map(|it| it.bytes_allocated),
    );
    let key = Key {
        started_unix_ns: it.started_unix_ns,
        trace: it.trace,
    };
    let (route, id, wall_ns, outcome, reasons) = match it.request {
        Some(it) => {
            let outcome = outcome(&it.outcome, it.message);
            (it.name, it.id, it.wall_ns, outcome, it.reasons)
        }
        None => (String::new(), None, it.elapsed_ns, Outcome::Ok, Vec::new()),
    };
    Kept {
        key,
        route,
        id,
        wall: Duration::from_nanos(wall_ns),
        allocates,
        bytes,
        outcome,
        reasons,
    }
}

/// An outcome of a later version is shown by its name, as a failure.
fn outcome(name: &str, message: String) -> Outcome {
    match name {
        "ok" => Outcome::Ok,
        "failed" => Outcome::Failed(message),
        "panicked" => Outcome::Panicked,
        "cancelled" => Outcome::Cancelled,
        "running" => Outcome::Running,
        other => Outcome::Failed(other.to_owned()),
    }
}

/// Makes a report of the open calls, so that they are shown as those of a kept request.
fn running(it: RunningOnPage) -> Result<Running, Problem> {
    let report = json!({
        "tracer_report": 1,
        "trace": it.trace,
        "started_unix_ns": it.started_unix_ns,
        "elapsed_ns": it.age_ns,
        "memory_bytes": 0,
        "total": it.total,
        "calls": it.open,
    });
    let report = Report::deserialize(report).map_err(|why| {
        let why = why.to_string();
        Problem(format!(
            "trace {}: expected calls as in a report: {}",
            it.trace,
            escaped(&why)
        ))
    })?;
    Ok(Running {
        key: Key {
            started_unix_ns: it.started_unix_ns,
            trace: it.trace,
        },
        route: it.name,
        id: it.id,
        age: Duration::from_nanos(it.age_ns),
        allocates: report.total.map(|it| it.allocates()),
        bytes: report.total.map(|it| it.bytes_allocated),
        report,
    })
}

#[cfg(test)]
mod tests {
    use proptest::{prop_assert, proptest};

    use super::*;

    #[test]
    fn what_is_not_known_is_passed_over_and_what_is_missing_is_0() {
        let json = br#"{"tracer_page":1,"page":"overview","later":[],"routes":[{"name":"GET /a","ended":3,"later":{}}],
            "newest":[{"trace":7,"started_unix_ns":5,"elapsed_ns":9,"request":{"name":"GET /a","wall_ns":8,"outcome":"later"}}]}"#;
        let overview = overview(json).unwrap();
        let expected = Route {
            name: "GET /a".to_owned(),
            ended: 3,
            ..Route::default()
        };
        assert_eq!(overview.routes, [expected]);
        assert_eq!(
            overview.newest[0].outcome,
            Outcome::Failed("later".to_owned())
        );
        assert_eq!(overview.totals, Totals::default());
    }

    #[test]
    fn an_unexpected_form_is_an_error_that_names_the_place() {
        let message = |json: &[u8]| overview(json).unwrap_err().to_string();
        let begins = "expected the page's JSON, overview, version 1: ";
        for (json, why) in [
            (&b"<html>"[..], "expected value at line 1 column 1"),
            (b"\xff", "expected value at line 1 column 1"),
            (b"", "EOF while parsing a value at line 1 column 0"),
            (b"{\"tracer_page\":2,\"page\":\"overview\"}", "it is version 2"),
            (b"{\"tracer_page\":1,\"page\":\"a\\u001b[2J\"}", "it is a\\u{1b}[2J"),
            (
                b"{\"tracer_page\":1,\"page\":\"overview\"}",
                "missing field `routes` at line 1 column 35",
            ),
            (
                b"{\"tracer_page\":1,\"page\":\"overview\",\"routes\":[{\"name\":\"a\",\"ended\":\"\\u001b\"}]}",
                "invalid type: string \"\\u{1b}\", expected u64 at line 1 column 73",
            ),
        ] {
            assert_eq!(message(json), format!("{begins}{why}"));
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_an_error(cut in 0..GOOD.len(), at in 0..GOOD.len(), byte: u8) {
            let mut json = GOOD.to_vec();
            json[at] = byte;
            json.truncate(json.len() - cut);
            if let Err(problem) = overview(&json) {
                prop_assert!(problem.to_string().chars().all(|it| !it.is_control()));
            }
            let _ = (route(&json), trace(&json), in_flight(&json), error(&json));
        }
    }

    const GOOD: &[u8] = br#"{"tracer_page":1,"page":"overview","routes":[{"name":"GET /a","ended":3,
        "recent":{"failed":1,"wall_ns":{"p50":1,"p99":2}}}],"newest":[{"trace":7,"started_unix_ns":5,
        "request":{"name":"GET /a","wall_ns":8,"outcome":"failed","message":"no"}}]}"#;

    #[test]
    fn open_calls_are_a_report() {
        let json = br#"{"tracer_page":1,"page":"in-flight","in_flight":1,"requests":[{"name":"GET /a","trace":7,
            "started_unix_ns":5,"age_ns":1000,"open":[{"name":"wait","module":"m","file":"f","line":1,"strand":0,
            "thread":{"number":1},"start_ns":0,"wall_ns":9,"busy_ns":9,"self_wall_ns":9,"self_busy_ns":9,"outcome":"running"}]}]}"#;
        let in_flight = in_flight(json).unwrap();
        assert_eq!(in_flight.requests[0].report.calls[0].name, "wait");
        let json = br#"{"tracer_page":1,"page":"in-flight","in_flight":1,"requests":[{"name":"a","trace":7,"age_ns":1,"open":[1]}]}"#;
        let why = super::in_flight(json).unwrap_err().to_string();
        assert!(
            why.starts_with("trace 7: expected calls as in a report: "),
            "{why}"
        );
    }
}
