//! What a recorder has counted.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use alloc_counter::Counts;

use crate::report::Percentiles;

use super::Recorder;
use super::route::Route;
use super::sinks::SinkStatistics;
use super::stripe::RequestCounts;
use super::window::RequestsInWindow;

/// What a recorder has counted since it was started.
///
/// `ended` is the sum of `kept`, `not_kept` and `dropped`, exactly and at any moment; and every request
/// that began is either in flight or has ended. These five figures are of one moment. The others are not: a
/// request that is being kept is in memory a little before it is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Requests that are not over.
    pub in_flight: u64,
    /// Requests that are over.
    pub ended: u64,
    /// Those of them that were kept.
    pub kept: u64,
    /// Those to which no rule of the policy applied.
    pub not_kept: u64,
    /// Those that should have been kept, but came faster than reports can be built or after the
    /// recorder was shut down; and those for which the process had no memory.
    pub dropped: u64,
    /// Kept requests whose reports are to be built.
    pub waiting: usize,
    /// Kept requests in memory.
    pub in_memory: usize,
    /// How many bytes these take.
    pub in_memory_bytes: usize,
    /// Kept requests that are no longer in memory, because others came.
    pub evicted: u64,
    /// Calls that are in no baseline, or not with all of their figures, because there was no memory.
    pub not_compared: u64,
    /// How often a rule of the program's own panicked.
    pub policy_panics: u64,
    /// What became of the kept ones at the other sinks.
    pub sinks: Vec<SinkStatistics>,
}

/// What a recorder knows of the requests of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouteStatistics {
    /// The name.
    pub name: String,
    /// Requests that are not over.
    pub in_flight: u64,
    /// Requests that are over, since the recorder was started.
    pub ended: u64,
    /// Those of them that were kept.
    pub kept: u64,
    /// Those to which no rule of the policy applied.
    pub not_kept: u64,
    /// Those that should have been kept, but for which there was no memory.
    pub dropped: u64,
    /// Requests of the last minutes: of the present window and of the one before. So are those that
    /// follow.
    pub recent: u64,
    /// Those that failed.
    pub failed: u64,
    /// Those that panicked.
    pub panicked: u64,
    /// Those that were cancelled.
    pub cancelled: u64,
    /// What they allocated and freed, together; `None` if nothing was counted.
    pub total: Option<Counts>,
    /// Their time; `None` if there was no request.
    pub wall: Option<Percentiles<Duration>>,
    /// How these times are spread: the lower bound of a bin, its upper bound, which it does not include,
    /// and how many there were.
    pub wall_bins: Vec<(Duration, Duration, u64)>,
    /// How often each requested memory.
    pub allocates: Option<Percentiles<u64>>,
    /// How that is spread, as the times are.
    pub allocates_bins: Vec<(u64, u64, u64)>,
    /// How many bytes each allocated.
    pub bytes: Option<Percentiles<u64>>,
}

impl Recorder {
    /// Returns what was counted until now.
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
            dropped: totals.dropped,
            waiting: shared.queue.load().0,
            in_memory,
            in_memory_bytes,
            evicted,
            not_compared: lost,
            policy_panics: shared.policy_panics.load(Relaxed),
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

    /// Returns the statistics of the route of this name.
    #[cfg(feature = "web")]
    pub(crate) fn route(&self, name: &str) -> Option<RouteStatistics> {
        let mut routes = self.inner.shared.routes.all();
        routes.retain(|route| route.name == name);
        self.statistics_of(&routes).pop()
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
                dropped: totals.dropped,
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
            }
        });
        routes.filter(|it| it.ended + it.in_flight > 0).collect()
    }
}
