//! What a recorder says of a request that it kept, beside what the trace recorded.

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::time::Duration;

use super::escape::Escaped;
use super::units::{count, percent, plural, time};
use super::{Outcome, Percentiles};

/// The request whose trace this was, as its recorder knows it.
///
/// `Display` is one line: `GET /orders/{id} [ca7a87c4]: 14.0 ms (usual 1.20 ms) · failed: 500`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// Of what kind it was: its route. Requests of one name are compared with each other.
    pub name: String,
    /// Which it was.
    pub id: Option<String>,
    /// What else was said of it.
    pub labels: Vec<(Cow<'static, str>, String)>,
    /// From its beginning to its end.
    pub wall: Duration,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it was kept.
    pub reasons: Vec<String>,
    /// The whole of it, beside others of its name.
    pub compared: Option<Compared>,
}

/// What the calls of one path did in a request, beside what they usually do.
///
/// A path is a sequence of functions, each called by the one before it. "Usually" is over all
/// requests of the same name in the last minutes, kept or not; there are at least 20. Those that did
/// not come along the path had no calls there, which took no time: so what only this request does
/// stands out.
///
/// `Display` is `10.4 ms (usual 1.20 ms) · allocates 3,412 (usual 41) · 37 calls (usual 1)`, or
/// `70.2 ms · allocates 60 · 60 calls (usually none)`; usual is the median.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Compared {
    /// How many calls there were in this request.
    pub calls: u64,
    /// Their times from start to stop, together.
    pub wall: Duration,
    /// How often they requested memory; `None` where nothing was counted.
    pub allocates: Option<u64>,
    /// How many requests were looked at.
    pub of: u64,
    /// In how many of them there was such a call.
    pub requests: u64,
    /// How many calls there are usually.
    pub usual_calls: Percentiles<u64>,
    /// What time they take.
    pub usual_wall: Percentiles<Duration>,
    /// How often they request memory.
    pub usual_allocates: Option<Percentiles<u64>>,
}

/// Nothing stands out among fewer.
const ENOUGH: u64 = 20;
/// One in so many requests, or fewer, is rare.
const RARE: u64 = 100;

impl Compared {
    /// Whether a figure is more than in 95 of a hundred requests, and at least twice the median, among
    /// 20 requests or more.
    pub fn stands_out(&self) -> bool {
        self.wall_stands_out() || self.allocates_stand_out() || self.calls_stand_out()
    }

    /// Whether the time does.
    pub fn wall_stands_out(&self) -> bool {
        let usual = self.usual_wall;
        self.is_enough() && self.wall > usual.p95 && self.wall >= usual.p50 * 2
    }

    /// Whether the requests for memory do.
    pub fn allocates_stand_out(&self) -> bool {
        match (self.allocates, self.usual_allocates) {
            (Some(now), Some(usual)) => self.is_enough() && stands_out(now, usual),
            _ => false,
        }
    }

    /// Whether the number of calls does: so a query in a loop is found.
    pub fn calls_stand_out(&self) -> bool {
        self.is_enough() && stands_out(self.calls, self.usual_calls)
    }

    /// Whether one in a hundred requests, or fewer, came this way.
    pub fn is_rare(&self) -> bool {
        self.of >= RARE && self.requests.saturating_mul(RARE) <= self.of
    }

    /// Whether most requests come this way.
    pub(crate) fn is_usual(&self) -> bool {
        self.usual_calls.p50 > 0
    }

    /// Whether it is about one call that there is once in most requests: then it is as long as that.
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
