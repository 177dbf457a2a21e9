//! What a recorder knows of a request that it kept, besides the trace.

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::time::Duration;

use super::escape::Escaped;
use super::units::{bytes, count, percent, plural, time};
use super::{Outcome, Percentiles};

/// Request of a kept report, as its recorder knows it.
///
/// `Display` is one line: `GET /orders/{id} [ca7a87c4]: 14.0 ms (usual 1.20 ms) · failed: 500`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// Method and route, or another name. Requests of one name are compared with each other.
    pub name: String,
    /// The request's id.
    pub id: Option<String>,
    /// The request's labels, with their values.
    pub labels: Vec<(Cow<'static, str>, String)>,
    /// Time from its beginning to its end.
    pub wall: Duration,
    /// How the request ended.
    pub outcome: Outcome,
    /// Why the request was kept.
    pub reasons: Vec<String>,
    /// Comparison of the whole request with others of its name.
    pub compared: Option<Compared>,
}

/// Comparison of the calls of one path in a request with what is usual.
///
/// A path is a sequence of functions, each called by the one before it. Usual figures are those of all
/// requests of the same name in the last minutes, kept or not, of which there are at least 20. Requests
/// that did not take the path count with no calls and no time, so that what only this request did shows.
///
/// `Display` is `10.4 ms (usual 1.20 ms) · allocates 3,412 (usual 41) · 37 calls (usual 1)`, or
/// `70.2 ms · allocates 60 · 60 calls (usually none)`; the usual figure is the median. What the calls keep is in
/// it if it is unusual: `· keeps 4.10 MiB (usual 0 B)`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Compared {
    /// Number of calls in this request.
    pub calls: u64,
    /// Sum of their times from start to stop.
    pub wall: Duration,
    /// Number of their requests for memory; `None` if nothing was counted.
    pub allocates: Option<u64>,
    /// Bytes that they allocated minus those that they freed: what they keep, such as a value that they return, or, if
    /// it is negative, what they freed of others; `None` if nothing was counted.
    pub net_bytes: Option<i64>,
    /// Number of requests in the baseline.
    pub of: u64,
    /// Number of those requests with such a call.
    pub requests: u64,
    /// Distribution of the number of calls.
    pub usual_calls: Percentiles<u64>,
    /// Distribution of their time.
    pub usual_wall: Percentiles<Duration>,
    /// Distribution of their requests for memory.
    pub usual_allocates: Option<Percentiles<u64>>,
    /// Distribution of the bytes that they keep; 0 for a request in which they freed more than they allocated.
    pub usual_net_bytes: Option<Percentiles<u64>>,
}

/// With fewer requests, nothing is unusual.
const ENOUGH: u64 = 20;
/// From how many calls on, and up to how many usual ones, there is an "N+1".
const MANY: u64 = 8;
const FEW: u64 = 3;
/// The fewest kept bytes that can be unusual. Most calls keep nothing, and without it each returned text would be.
pub(crate) const NOTABLE_BYTES: u64 = 1024;
/// What at most one in this many requests does is rare.
const RARE: u64 = 100;

impl Compared {
    /// Returns whether a figure exceeds that of 95 % of the requests and is at least twice the median,
    /// among 20 requests or more.
    pub fn stands_out(&self) -> bool {
        self.wall_stands_out()
            || self.allocates_stand_out()
            || self.calls_stand_out()
            || self.net_bytes_stand_out()
    }

    /// Returns whether the time is unusual.
    pub fn wall_stands_out(&self) -> bool {
        let usual = self.usual_wall;
        self.is_enough() && self.wall > usual.p95 && self.wall >= usual.p50 * 2
    }

    /// Returns whether the number of requests for memory is unusual.
    pub fn allocates_stand_out(&self) -> bool {
        match (self.allocates, self.usual_allocates) {
            (Some(now), Some(usual)) => self.is_enough() && stands_out(now, usual),
            _ => false,
        }
    }

    /// Returns whether it is unusual how many bytes the calls keep. Less than 1 KiB never is.
    pub fn net_bytes_stand_out(&self) -> bool {
        match (self.kept_bytes(), self.usual_net_bytes) {
            (Some(now), Some(usual)) => {
                self.is_enough() && now >= NOTABLE_BYTES && stands_out(now, usual)
            }
            _ => false,
        }
    }

    /// Returns the bytes that the calls keep, of which none are below 0; `None` if nothing was counted.
    fn kept_bytes(&self) -> Option<u64> {
        self.net_bytes.map(|net| u64::try_from(net).unwrap_or(0))
    }

    /// Returns whether the number of calls is unusual, as for a query in a loop.
    pub fn calls_stand_out(&self) -> bool {
        self.is_enough() && stands_out(self.calls, self.usual_calls)
    }

    /// Returns whether there are eight or more calls, which is unusual, and half of the requests have one to
    /// three: often a query for each of the rows that another query found.
    pub fn is_n_plus_one(&self) -> bool {
        let usual = self.usual_calls.p50;
        self.calls >= MANY && (1..=FEW).contains(&usual) && self.calls_stand_out()
    }

    /// Returns whether at most one in a hundred requests took this path.
    pub fn is_rare(&self) -> bool {
        self.of >= RARE && self.requests.saturating_mul(RARE) <= self.of
    }

    /// Returns whether most requests take this path.
    pub(crate) fn is_usual(&self) -> bool {
        self.usual_calls.p50 > 0
    }

    /// Returns whether it is one call that most requests make once: then its time is the call's own.
    #[cfg(feature = "web")]
    pub(crate) fn is_of_one_call(&self) -> bool {
        self.calls == 1 && self.usual_calls.p50 == 1
    }

    fn is_enough(&self) -> bool {
        self.of >= ENOUGH
    }
}

fn stands_out(now: u64, usual: Percentiles<u64>) -> bool {
    now > usual.p95 && now >= usual.p50.saturating_mul(2)
}

impl Display for Compared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", time(self.wall))?;
        if self.is_usual() {
            write!(f, " (usual {})", time(self.usual_wall.p50))?;
        }
        if let (Some(now), Some(usual)) = (self.allocates, self.usual_allocates) {
            write!(f, " · allocates {}", count(now))?;
            if self.is_usual() {
                write!(f, " (usual {})", count(usual.p50))?;
            }
        }
        if let (true, Some(now), Some(usual)) = (
            self.net_bytes_stand_out(),
            self.kept_bytes(),
            self.usual_net_bytes,
        ) {
            write!(f, " · keeps {}", bytes(now))?;
            if self.is_usual() {
                write!(f, " (usual {})", bytes(usual.p50))?;
            }
        }
        let calls = plural(self.calls, "call");
        match (self.calls, self.usual_calls.p50) {
            (1, 1) => {}
            (_, 0) => write!(f, " · {calls} (usually none)")?,
            (_, usual) => write!(f, " · {calls} (usual {})", count(usual))?,
        }
        if self.is_rare() {
            let part = percent(self.requests, self.of);
            write!(f, " · in {part} of requests")?;
        }
        Ok(())
    }
}

impl Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Escaped(&self.name))?;
        if let Some(id) = &self.id {
            write!(f, " [{}]", Escaped(id))?;
        }
        for (name, value) in &self.labels {
            write!(f, " {}={}", Escaped(name), Escaped(value))?;
        }
        match &self.compared {
            Some(compared) => write!(f, ": {compared}")?,
            None => write!(f, ": {}", time(self.wall))?,
        }
        match &self.outcome {
            Outcome::Ok => {}
            Outcome::Failed(why) if why.is_empty() => f.write_str(" · failed")?,
            Outcome::Failed(why) => write!(f, " · failed: {}", Escaped(why))?,
            Outcome::Panicked => f.write_str(" · panicked")?,
            Outcome::Cancelled => f.write_str(" · cancelled")?,
            Outcome::Running => f.write_str(" · running")?,
        }
        if !self.reasons.is_empty() {
            f.write_str(" · kept: ")?;
        }
        for (place, reason) in self.reasons.iter().enumerate() {
            let gap = if place == 0 { "" } else { ", " };
            write!(f, "{gap}{}", Escaped(reason))?;
        }
        Ok(())
    }
}
