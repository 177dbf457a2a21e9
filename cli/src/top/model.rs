//! What is shown: plain data, whether it comes from a page or from a file.

use std::fmt;
use std::time::Duration;

use tracer::{Outcome, Report};

/// What all screens need.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Overview {
    /// Whether allocations are counted.
    pub(crate) is_counted: bool,
    pub(crate) totals: Totals,
    pub(crate) routes: Vec<Route>,
    /// Kept requests, the newest first.
    pub(crate) newest: Vec<Kept>,
    /// Those that failed or panicked.
    pub(crate) failures: Vec<Kept>,
    /// What a reader must know of the figures.
    pub(crate) note: Option<String>,
    /// Whether more is there already, so that it is worth while to look again at once.
    pub(crate) has_more: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Number of requests.
    pub(crate) ended: u64,
    pub(crate) in_flight: u64,
    pub(crate) kept: u64,
    /// Number of requests that should have been kept, but could not be.
    pub(crate) dropped: u64,
    pub(crate) in_memory_bytes: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) name: String,
    /// Number of requests since the service's start; of a file, those in it.
    pub(crate) ended: u64,
    /// Number of requests of the last minutes that failed or panicked; of a file, those in it.
    pub(crate) failed: u64,
    pub(crate) p50: Option<Duration>,
    pub(crate) p99: Option<Duration>,
    /// The median of the numbers of requests for memory.
    pub(crate) allocates: Option<u64>,
    pub(crate) in_flight: u64,
    pub(crate) kept: u64,
}

/// What identifies a kept request among those of all processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) started_unix_ns: i64,
    pub(crate) trace: u64,
}

/// A kept request, without its calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) key: Key,
    /// The name of its route.
    pub(crate) route: String,
    pub(crate) id: Option<String>,
    pub(crate) wall: Duration,
    pub(crate) allocates: Option<u64>,
    pub(crate) bytes: Option<u64>,
    pub(crate) outcome: Outcome,
    pub(crate) reasons: Vec<String>,
}

impl Kept {
    pub(crate) fn is_failure(&self) -> bool {
        matches!(self.outcome, Outcome::Failed(_) | Outcome::Panicked)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct InFlight {
    /// Number of all, also of those that are not listed.
    pub(crate) count: u64,
    /// The oldest first.
    pub(crate) requests: Vec<Running>,
}

/// A request that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Running {
    pub(crate) key: Key,
    pub(crate) route: String,
    pub(crate) id: Option<String>,
    pub(crate) age: Duration,
    pub(crate) allocates: Option<u64>,
    pub(crate) bytes: Option<u64>,
    /// Its open calls, as a report of them alone.
    pub(crate) report: Report,
}

/// Why something can't be shown: what was asked, what came, what was expected. Text from outside is escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem(pub(crate) String);

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where the data comes from. Each method may take seconds: see `fetch.rs`.
pub(crate) trait Source: Send {
    /// Returns what all screens need.
    fn overview(&mut self) -> Result<Overview, Problem>;
    /// Returns the requests in flight.
    fn in_flight(&mut self) -> Result<InFlight, Problem>;
    /// Returns the kept requests of a route, the newest first.
    fn route(&mut self, name: &str) -> Result<Vec<Kept>, Problem>;
    /// Returns the report of a kept request.
    fn trace(&mut self, key: Key) -> Result<Report, Problem>;
}
