//! Arming: the next requests of a route record which lines allocate, once one has left the route's baseline.

mod arms;
mod by_hand;
mod minute;
mod requests;
mod watch;

use alloc_counter::Sites;

pub(super) use arms::{ArmedPlace, Arms};
pub(super) use requests::{arm, progress, watch};
pub(super) use watch::Watch;

/// When the requests of a route record which lines allocate, and how many of them do.
///
/// A route is *armed* if one of its requests left the [baseline](crate::report::Compared): its allocations
/// or its bytes exceed those of 99 % of the recent requests of its name, of which there are at least 20, and
/// are at least twice the median. The next requests of this name then record each allocation with its stack
/// ([`Sites::exact`](crate::alloc::Sites::exact)), and are kept with the reason
/// [`armed`](super::Reason::Armed). [`Recorder::arm`](super::Recorder::arm) arms a route by hand.
///
/// Off by default: [`Builder::arm`](super::Builder::arm) turns it on.
///
/// # Cost
///
/// Bounded by the limits below, whatever happens. While no route is armed, a request costs one load at its
/// beginning and three comparisons at its end. An armed request takes about a quarter of a microsecond more for each
/// of its allocations, also in its time. With the default limits these are at most 60 requests a minute: if
/// each allocates 10,000 times, 0.25 % of one processor. To look up their lines, the recorder's thread takes
/// some 100 ms and 40 MB beyond the recorder's [memory](super::Builder::memory_bytes) for the first of them,
/// which are given back.
///
/// ```
/// use tracer::recorder::{Arming, Recorder};
///
/// let arming = Arming::default().above(95).requests(10).requests_per_minute(30);
/// let recorder = Recorder::builder().arm(arming).start()?;
/// # Ok::<(), tracer::recorder::StartError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "it arms nothing until it is given to `Builder::arm`"]
pub struct Arming {
    /// `None` if routes are armed by hand only.
    percentile: Option<u8>,
    requests: u32,
    routes: u32,
    requests_per_minute: u32,
}

/// Arms a route above its 99th percentile, within the default limits.
impl Default for Arming {
    fn default() -> Self {
        Self {
            percentile: Some(99),
            ..Self::by_hand()
        }
    }
}

impl Arming {
    /// Returns the default limits. Routes are armed by [`Recorder::arm`](super::Recorder::arm) only.
    pub const fn by_hand() -> Self {
        Self {
            percentile: None,
            requests: 20,
            routes: 4,
            requests_per_minute: 60,
        }
    }

    /// Returns whether routes are armed by themselves.
    pub(super) const fn is_automatic(self) -> bool {
        self.percentile.is_some()
    }

    /// Reads what the first request that is armed would have to read: the tables of the stacks.
    pub(super) fn warm_up() {
        drop(Sites::exact().record(|| ()));
    }

    /// Sets the percentile of the recent requests above which a request arms its route: 99 by default, from
    /// 50 to 100. With 100, it is above all of them.
    pub const fn above(mut self, percentile: u8) -> Self {
        self.percentile = Some(match percentile {
            ..50 => 50,
            101.. => 100,
            _ => percentile,
        });
        self
    }

    /// Sets how many requests of an armed route record their lines: 20 by default. With 0, no route is armed.
    pub const fn requests(mut self, requests: u32) -> Self {
        self.requests = requests;
        self
    }

    /// Sets how many routes may be armed at a time: 4 by default.
    pub const fn routes(mut self, routes: u32) -> Self {
        self.routes = routes;
        self
    }

    /// Sets how many requests of all armed routes may record their lines in a minute: 60 by default. No more
    /// may be in flight, or wait for their reports, at a time.
    pub const fn requests_per_minute(mut self, requests: u32) -> Self {
        self.requests_per_minute = requests;
        self
    }
}
