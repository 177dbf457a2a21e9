//! Statistics of a recorder: of all its requests and of each name.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use alloc_counter::Counts;

use crate::report::Percentiles;

use super::Recorder;
use super::armed::{ArmedRoute, ArmingStatistics};
#[cfg(feature = "sites")]
use super::arming;
use super::minutes::Minute;
use super::route::Route;
use super::sinks::SinkStatistics;
use super::stripe::RequestCounts;
use super::window::RequestsInWindow;

/// Counts of a recorder since it was started.
///
/// `ended` is the sum of `kept`, `not_kept` and `dropped`, exactly and at any moment; and every request
/// that began is either in flight or has ended. These five figures are of one moment. The others are not: a
/// request that is being kept is in memory a little before it is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Requests in flight.
    pub in_flight: u64,
    /// Requests that have ended.
    pub ended: u64,
    /// Ended requests that were kept.
    pub kept: u64,
    /// Ended requests to which no rule of the policy applied.
    pub not_kept: u64,
    /// Ended requests that should have been kept, but came faster than reports can be built or after the
    /// recorder was shut down, or for which the process had no memory.
    pub dropped: u64,
    /// Kept and [typical](Recorder::typical) requests whose reports have yet to be built.
    pub waiting: usize,
    /// Kept requests in memory.
    pub in_memory: usize,
    /// How many bytes the reports in memory take.
    pub in_memory_bytes: usize,
    /// Kept requests that are no longer in memory, because newer ones took their place.
    pub evicted: u64,
    /// Calls that are in no baseline, or not with all of their figures, because memory ran out.
    pub not_compared: u64,
    /// How often a [rule of the program](super::Policy::when) panicked.
    pub policy_panics: u64,
    /// Counts of armed routes and their requests.
    pub arming: ArmingStatistics,
    /// Counts of each further sink: what became of the kept requests there.
    pub sinks: Vec<SinkStatistics>,
}

/// Statistics of the requests of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouteStatistics {
    /// The requests' name.
    pub name: String,
    /// Requests in flight.
    pub in_flight: u64,
    /// Requests that have ended, since the recorder was started.
    pub ended: u64,
    /// Ended requests that were kept.
    pub kept: u64,
    /// Ended requests to which no rule of the policy applied.
    pub not_kept: u64,
    /// Ended requests that should have been kept, but for which there was no memory.
    pub dropped: u64,
    /// Requests that ended in the last minutes: in the present window and the one before. The fields
    /// below are about these.
    pub recent: u64,
    /// Recent requests that failed.
    pub failed: u64,
    /// Recent requests that panicked.
    pub panicked: u64,
    /// Recent requests that were cancelled.
    pub cancelled: u64,
    /// The allocations and frees of all recent requests; `None` if nothing was counted.
    pub total: Option<Counts>,
    /// Percentiles of their wall time; `None` if there was no request, or if memory ran out.
    pub wall: Option<Percentiles<Duration>>,
    /// Histogram of their wall times. Each bin has its lower bound, its upper bound, which it does not
    /// include, and the number of requests.
    pub wall_bins: Vec<(Duration, Duration, u64)>,
    /// Percentiles of how often a request allocated.
    pub allocates: Option<Percentiles<u64>>,
    /// Histogram of how often a request allocated, as `wall_bins` is of the times.
    pub allocates_bins: Vec<(u64, u64, u64)>,
    /// Percentiles of how many bytes a request allocated.
    pub bytes: Option<Percentiles<u64>>,
    /// Percentiles of how many bytes a request keeps: allocated minus freed, and 0 if more was freed.
    pub net_bytes: Option<Percentiles<u64>>,
    /// How far the route has come if it is armed; `None` if it is not.
    pub armed: Option<ArmedRoute>,
}

impl Recorder {
    /// Returns what the recorder has counted until now.
    pub fn statistics(&self) -> Statistics {
        let shared = &self.inner.shared;
        let mut lost = 0;
        shared.stripes.read(|aggregates| lost += aggregates.lost());
        let mut counted = RequestCounts::default();
        for of_route in shared.stripes.counted() {
            counted.add(of_route);
        }
        let totals = counted.ended;
        let (in_memory, in_memory_bytes, evicted) =
            shared.ring(|ring| ring.load()).unwrap_or_default();
        Statistics {
            in_flight: counted.in_flight(),
            ended: totals.requests,
            kept: totals.kept,
            not_kept: totals.not_kept,
            dropped: totals.dropped(),
            waiting: shared.queue.load().0,
            in_memory,
            in_memory_bytes,
            evicted,
            not_compared: lost,
            policy_panics: shared.policy_panics.load(Relaxed),
            #[cfg(feature = "sites")]
            arming: shared.arms.statistics(),
            #[cfg(not(feature = "sites"))]
            arming: ArmingStatistics::default(),
            sinks: self
                .inner
                .sinks
                .iter()
                .map(|sink| sink.statistics())
                .collect(),
        }
    }

    /// Returns per-route statistics, sorted by name. A route without requests is left out.
    pub fn routes(&self) -> Vec<RouteStatistics> {
        let routes = self.inner.shared.routes.all();
        self.statistics_of(&routes)
    }

    /// Returns the figures of each minute of the last hours in which a request of this name ended, in order of
    /// time; nothing if the name is unknown. Minutes are those of the wall clock. The last one is not over.
    ///
    /// Counts, sums and the longest time are exact. At most the last 180 minutes with requests are known, and 15
    /// if there is no [memory](super::Builder::memory_bytes) for more.
    ///
    /// ```
    /// use tracer::recorder::Recorder;
    ///
    /// let recorder = Recorder::builder().start()?;
    /// for _ in 0..3 {
    ///     recorder.begin("GET /").finish();
    /// }
    /// let minutes = recorder.minutes("GET /");
    /// assert_eq!(minutes.iter().map(|it| it.requests).sum::<u64>(), 3);
    /// # Ok::<(), tracer::recorder::StartError>(())
    /// ```
    pub fn minutes(&self, name: &str) -> Vec<Minute> {
        let shared = &self.inner.shared;
        let Some(route) = shared.routes.iter().find(|route| route.name == name) else {
            return Vec::new();
        };
        shared.stripes.finish_minutes(route);
        let minutes = route.minutes.read();
        { minutes.iter() }
            .map(|it| it.shown(shared.is_counted))
            .collect()
    }

    /// Returns the statistics of the route of this name.
    #[cfg(feature = "web")]
    pub(crate) fn route(&self, name: &str) -> Option<RouteStatistics> {
        let mut routes = self.inner.shared.routes.all();
        routes.retain(|route| route.name == name);
        self.statistics_of(&routes).pop()
    }

    /// Returns whether routes are armed by themselves; `None` without the feature `sites`.
    #[cfg(feature = "web")]
    #[cfg_attr(
        feature = "sites",
        expect(clippy::unnecessary_wraps, reason = "for the others")
    )]
    #[cfg_attr(
        not(feature = "sites"),
        expect(clippy::unused_self, reason = "for the feature `sites`")
    )]
    pub(crate) fn arms_itself(&self) -> Option<bool> {
        #[cfg(feature = "sites")]
        return Some(self.inner.shared.arms.is_automatic());
        #[cfg(not(feature = "sites"))]
        None
    }

    fn statistics_of(&self, routes: &[&Route]) -> Vec<RouteStatistics> {
        let shared = &self.inner.shared;
        let window = shared.window_now();
        let counted = shared.stripes.counted();
        let routes = routes.iter().map(|route| {
            let mut requests = RequestsInWindow::default();
            shared.stripes.read_route(route.number, window, |baseline| {
                for of_window in baseline.requests() {
                    requests.merge(of_window);
                }
            });
            let counted = counted.get(route.number).copied().unwrap_or_default();
            let totals = counted.ended;
            let is_counted = shared.is_counted;
            RouteStatistics {
                name: route.name.clone(),
                in_flight: counted.in_flight(),
                ended: totals.requests,
                kept: totals.kept,
                not_kept: totals.not_kept,
                dropped: totals.dropped(),
                recent: requests.count,
                failed: requests.failed,
                panicked: requests.panicked,
                cancelled: requests.cancelled,
                total: is_counted.then_some(requests.total),
                wall: requests.wall.durations(),
                wall_bins: { requests.wall.bins().into_iter() }
                    .map(|(from, to, count)| {
                        (Duration::from_nanos(from), Duration::from_nanos(to), count)
                    })
                    .collect(),
                allocates: { requests.allocates.percentiles() }.filter(|_| is_counted),
                allocates_bins: if is_counted {
                    requests.allocates.bins()
                } else {
                    Vec::new()
                },
                bytes: requests.bytes.percentiles().filter(|_| is_counted),
                net_bytes: requests.net_bytes.percentiles().filter(|_| is_counted),
                #[cfg(feature = "sites")]
                armed: arming::progress(shared, route),
                #[cfg(not(feature = "sites"))]
                armed: None,
            }
        });
        routes.filter(|it| it.ended + it.in_flight > 0).collect()
    }
}
