//! The query: what the requests that are looked for have in common.

use std::time::{Duration, SystemTime};

use crate::primitives::text::CUT;
#[cfg(feature = "web")]
use crate::report::json::head::Head;
use crate::report::message::common;
use crate::report::{CallReport, Outcome, Report, Request};
use crate::store::ids::TraceId;

use super::needle::Needle;
use super::values::When;

/// What the requests that are looked for have in common. An empty query finds all.
///
/// `Display` writes it as the query of a URL, which [`FromStr`](std::str::FromStr) reads: `id=4f1c&since=10m`. The
/// parameters are listed in the [module](super).
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use tracer::search::{Outcomes, Query};
/// use tracer::{Trace, call};
///
/// let trace = Trace::new();
/// let scope = trace.inject();
/// call!("ca7a87c4").fail("no database");
/// drop(scope);
/// let report = trace.report();
///
/// let query = Query::new().outcome(Outcomes::Failure).text("DATABASE");
/// assert!(query.matches(&report, SystemTime::now()));
/// assert_eq!(query.to_string(), "text=DATABASE&outcome=failure");
/// assert_eq!(query.to_string().parse(), Ok(query));
///
/// let slow = Query::new().slower_than(Duration::from_secs(10));
/// assert!(!slow.matches(&report, SystemTime::now()));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    pub(super) id: Option<String>,
    pub(super) trace_id: Option<TraceId>,
    pub(super) text: Option<Needle>,
    pub(super) route: Option<String>,
    pub(super) outcome: Option<Outcomes>,
    pub(super) failure: Option<String>,
    pub(super) slower: Option<Duration>,
    pub(super) heavier: Option<u64>,
    pub(super) since: Option<When>,
    pub(super) until: Option<When>,
}

/// Outcomes that are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcomes {
    /// Failed or panicked.
    Failure,
    /// [`Outcome::Ok`].
    Ok,
    /// [`Outcome::Failed`].
    Failed,
    /// [`Outcome::Panicked`].
    Panicked,
    /// [`Outcome::Cancelled`].
    Cancelled,
}

impl Outcomes {
    /// All of them, in the order in which a form offers them.
    pub const ALL: [Self; 5] = [
        Self::Failure,
        Self::Failed,
        Self::Panicked,
        Self::Cancelled,
        Self::Ok,
    ];

    /// Returns its name in a URL.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Failure => "failure",
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Panicked => "panicked",
            Self::Cancelled => "cancelled",
        }
    }

    fn has(self, outcome: &Outcome) -> bool {
        match self {
            Self::Failure => outcome.is_failure(),
            Self::Ok => *outcome == Outcome::Ok,
            Self::Failed => matches!(outcome, Outcome::Failed(_)),
            Self::Panicked => *outcome == Outcome::Panicked,
            Self::Cancelled => *outcome == Outcome::Cancelled,
        }
    }
}

/// The most bytes of an id that a recorder keeps.
pub(super) const MOST_ID_BYTES: usize = 256;

impl Query {
    /// Makes a query that finds all requests.
    pub fn new() -> Self {
        Self::default()
    }

    /// Finds the request with this id. In a report without a request, that is the id of an outermost call. Spaces
    /// around it don't matter. An empty id finds all.
    #[must_use]
    pub fn id(mut self, id: &str) -> Self {
        self.id = given(id.trim());
        self
    }

    /// Finds the requests of this trace.
    #[must_use]
    pub fn trace_id(mut self, id: TraceId) -> Self {
        self.trace_id = Some(id);
        self
    }

    /// Finds requests with this text in an id, a label or a message of theirs or of one of their calls. Letters match
    /// in either case.
    #[must_use]
    pub fn text(mut self, text: &str) -> Self {
        self.text = (!text.is_empty()).then(|| Needle::new(text));
        self
    }

    /// Finds requests of this name: of this route.
    #[must_use]
    pub fn route(mut self, name: &str) -> Self {
        self.route = given(name);
        self
    }

    /// Finds requests that ended like this.
    #[must_use]
    pub fn outcome(mut self, outcome: Outcomes) -> Self {
        self.outcome = Some(outcome);
        self
    }

    /// Finds failures whose messages are equal to this one, apart from numbers, ids and quoted texts. A panic's
    /// message is `panicked`.
    #[must_use]
    pub fn failure(mut self, message: &str) -> Self {
        self.failure = given(&common(message));
        self
    }

    /// Finds requests that took longer; the limit has at most 584 years.
    #[must_use]
    pub fn slower_than(mut self, limit: Duration) -> Self {
        let most = Duration::from_nanos(u64::MAX);
        self.slower = Some(limit.min(most));
        self
    }

    /// Finds requests that allocated more bytes.
    #[must_use]
    pub fn heavier_than(mut self, bytes: u64) -> Self {
        self.heavier = Some(bytes);
        self
    }

    /// Finds requests that ended at this moment or later.
    #[must_use]
    pub fn since(mut self, when: When) -> Self {
        self.since = Some(when);
        self
    }

    /// Finds requests that began before this moment.
    #[must_use]
    pub fn until(mut self, when: When) -> Self {
        self.until = Some(when);
        self
    }

    /// Returns whether it finds all requests.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns whether it finds this request. A time ago is one before `now`.
    pub fn matches(&self, report: &Report, now: SystemTime) -> bool {
        let facts = Facts {
            name: report.name(),
            outcome: report.outcome(),
            trace_id: report.trace_id,
            started: report.started,
            wall: report.wall(),
            bytes: report.total.map(|it| it.bytes_allocated),
        };
        self.matches_facts(&facts, now) && self.matches_id(report) && self.matches_text(report)
    }

    #[cfg(feature = "web")]
    /// Returns whether it finds the request with this head; `None` if that depends on the calls.
    pub(super) fn matches_head(&self, head: &Head, now: SystemTime) -> Option<bool> {
        let request = head.request.as_deref()?;
        let facts = Facts {
            name: head.name(),
            outcome: &request.outcome,
            trace_id: head.trace_id,
            started: head.started,
            wall: head.wall(),
            bytes: head.total.map(|it| it.bytes_allocated),
        };
        let is_it = self.matches_facts(&facts, now) && self.is_id(request.id.as_deref());
        match &self.text {
            Some(text) if is_it && !is_in_request(text, request) => None,
            _ => Some(is_it),
        }
    }

    fn matches_facts(&self, facts: &Facts<'_>, now: SystemTime) -> bool {
        let ended = || { facts.started.checked_add(facts.wall) }.unwrap_or(facts.started);
        self.trace_id.is_none_or(|it| facts.trace_id == Some(it))
            && self.route.as_ref().is_none_or(|it| it == facts.name)
            && self.outcome.is_none_or(|it| it.has(facts.outcome))
            && self.slower.is_none_or(|it| facts.wall > it)
            && { self.heavier }.is_none_or(|it| facts.bytes.is_some_and(|bytes| bytes > it))
            && self.since.is_none_or(|it| ended() >= it.seen_from(now))
            && self
                .until
                .is_none_or(|it| facts.started < it.seen_from(now))
            && { self.failure.as_ref() }
                .is_none_or(|it| failure(facts.outcome).as_ref() == Some(it))
    }

    fn matches_id(&self, report: &Report) -> bool {
        if self.id.is_none() {
            return true;
        }
        if let Some(request) = &report.request {
            return self.is_id(request.id.as_deref());
        }
        let mut outermost = { report.calls.iter() }.filter(|call| call.parent.is_none());
        outermost.any(|call| self.is_id(call.id.as_deref()))
    }

    /// Returns whether this is the id that is looked for; a long one was cut when it was kept.
    fn is_id(&self, id: Option<&str>) -> bool {
        let Some(wanted) = &self.id else {
            return true;
        };
        id.is_some_and(|id| {
            let id = id.trim();
            let is_long = id.len().min(wanted.len()) > MOST_ID_BYTES - 6;
            let cut = id.strip_suffix(CUT).filter(|_| is_long);
            id == wanted || cut.is_some_and(|start| wanted.starts_with(start))
        })
    }

    fn matches_text(&self, report: &Report) -> bool {
        let Some(text) = &self.text else {
            return true;
        };
        let is_in_call =
            |call: &CallReport| is_in(text, call.id.as_deref(), &call.labels, &call.outcome);
        { report.request.as_deref() }.is_some_and(|it| is_in_request(text, it))
            || report.calls.iter().any(is_in_call)
    }
}

/// What a query looks at besides ids and texts.
struct Facts<'a> {
    name: &'a str,
    outcome: &'a Outcome,
    trace_id: Option<TraceId>,
    started: SystemTime,
    wall: Duration,
    bytes: Option<u64>,
}

/// Returns what the failures of one kind have in common; `None` for other outcomes.
pub(crate) fn failure(outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Failed(message) => Some(common(message)),
        Outcome::Panicked => Some("panicked".to_owned()),
        Outcome::Ok | Outcome::Cancelled | Outcome::Running => None,
    }
}

fn given(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn is_in_request(text: &Needle, request: &Request) -> bool {
    is_in(
        text,
        request.id.as_deref(),
        &request.labels,
        &request.outcome,
    )
}

type Labels = [(std::borrow::Cow<'static, str>, String)];

fn is_in(text: &Needle, id: Option<&str>, labels: &Labels, outcome: &Outcome) -> bool {
    let message = match outcome {
        Outcome::Failed(message) => Some(&**message),
        _ => None,
    };
    let labels = { labels.iter() }.flat_map(|(name, value)| [&**name, value]);
    id.into_iter()
        .chain(message)
        .chain(labels)
        .any(|it| text.is_in(it))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call;
    use crate::store::trace::Trace;

    #[test]
    fn a_report_without_a_request_has_the_ids_of_its_outermost_calls() {
        let trace = Trace::new();
        let scope = trace.inject();
        let outer = call!(" outer ");
        call!("inner").stop();
        drop((outer, scope));
        let report = trace.report();
        let finds = |query: Query| query.matches(&report, SystemTime::now());
        assert!(finds(Query::new().id("outer")) && finds(Query::new().id("  ")));
        assert!(!finds(Query::new().id("inner")) && finds(Query::new().text("INNER")));
        assert!(finds(Query::new().outcome(Outcomes::Ok)));
        assert!(!finds(Query::new().route("GET /")));
        let other = report.trace_id.map(|it| it.to_bits() ^ 1);
        let other = other.and_then(TraceId::new).unwrap();
        assert!(!finds(Query::new().trace_id(other)));
    }

    #[test]
    fn an_id_that_was_cut_is_found_by_the_whole() {
        let whole = "é".repeat(200);
        let cut = format!("{}{CUT}", "é".repeat(126));
        let query = Query::new().id(&whole);
        assert!(query.is_id(Some(&cut)) && query.is_id(Some(&whole)));
        for other in ["é…", "…", "e", ""] {
            assert!(!query.is_id(Some(other)), "{other}");
        }
        assert!(!Query::new().id("éé").is_id(Some("é…")) && !query.is_id(None));
    }
}
