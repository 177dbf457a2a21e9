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
/// requests of the same name in the last minutes that came along it, kept or not; there are at least
/// 20 of that name.
///
/// `Display` is `10.4 ms (usual 1.20 ms) · allocates 3,412 (usual 41) · 37 calls (usual 1)`; usual
/// is the median.
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
    /// How many calls these had.
    pub usual_calls: Percentiles<u64>,
    /// What time they took.
    pub usual_wall: Percentiles<Duration>,
    /// How often they requested memory.
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

    fn is_enough(&self) -> bool {
        self.requests >= ENOUGH
    }
}

fn stands_out(now: u64, usual: Percentiles<u64>) -> bool {
    now > usual.p95 && now >= usual.p50.saturating_mul(2)
}

impl Display for Compared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let usual = time(self.usual_wall.p50);
        write!(f, "{} (usual {usual})", time(self.wall))?;
        if let (Some(now), Some(usual)) = (self.allocates, self.usual_allocates) {
            let usual = count(usual.p50);
            write!(f, " · allocates {} (usual {usual})", count(now))?;
        }
        let usual = self.usual_calls.p50;
        if (self.calls, usual) != (1, 1) {
            let (calls, usual) = (plural(self.calls, "call"), count(usual));
            write!(f, " · {calls} (usual {usual})")?;
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
