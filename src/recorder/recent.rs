//! Hotspots of all requests of the last minutes, kept or not.

use std::time::Duration;

use alloc_counter::Counts;

use crate::hotspots::{Frame, Hotspots, Totals};
use crate::read::summary::Sums;
use crate::store::callsite::Callsite;

use super::Recorder;
use super::baseline::Baseline;

impl Recorder {
    /// Returns the hotspots of all requests of the last minutes, kept or not: of those of one name, or
    /// of all. They cover the present [window](super::Builder::window) and the one before.
    ///
    /// Allocations are exact, except for the self counts around a call that
    /// [moved](crate::CallReport::moved) into another one. Only sums are known here, so there are no
    /// percentiles. The self times around calls that ran concurrently, as branches of a `join!` or
    /// spawned tasks do, are too low, down to 0, since the times of all these calls are subtracted.
    /// Nothing is marked as [`partial`](crate::hotspots::Totals::partial).
    ///
    /// ```
    /// use tracer::hotspots::By;
    /// use tracer::recorder::Recorder;
    ///
    /// # use tracer::call;
    /// let recorder = Recorder::builder().start()?;
    /// for _ in 0..3 {
    ///     recorder.record("GET /", || call!().stop());
    /// }
    /// let hotspots = recorder.hotspots(Some("GET /"));
    /// assert_eq!(hotspots.functions(By::Calls)[0].totals.calls, 3);
    /// # Ok::<(), tracer::recorder::StartError>(())
    /// ```
    pub fn hotspots(&self, name: Option<&str>) -> Hotspots {
        let shared = &self.inner.shared;
        let window = shared.window_now();
        let mut hotspots = Hotspots::new();
        let is_wanted = |route: &str| name.is_none_or(|name| name == route);
        for route in shared
            .routes
            .all()
            .into_iter()
            .filter(|it| is_wanted(&it.name))
        {
            let mut recent = Vec::new();
            shared.stripes.read_route(route.number, window, |baseline| {
                recent.push(Recent::of(baseline));
            });
            for recent in recent {
                recent.add_to(&mut hotspots, shared.is_counted);
            }
        }
        hotspots
    }
}

/// The figures of one name in one stripe, copied so that nobody waits while they are added up.
struct Recent {
    requests: u64,
    total: Counts,
    /// The callsite, the number of the path that leads there, and the sums of the calls.
    paths: Vec<(Option<&'static Callsite>, Option<usize>, Sums)>,
}

impl Recent {
    fn of(baseline: &Baseline) -> Self {
        let paths = baseline.paths().map(|(callsite, parent, windows)| {
            let mut sums = Sums::default();
            for window in windows {
                sums.add(&window.sums);
            }
            (callsite, parent, sums.in_nanoseconds())
        });
        let requests = baseline.requests();
        Self {
            requests: requests.iter().map(|it| it.count).sum(),
            total: requests.iter().map(|it| it.total).sum(),
            paths: paths.collect(),
        }
    }

    fn add_to(&self, hotspots: &mut Hotspots, is_counted: bool) {
        hotspots.add_requests(self.requests, is_counted.then_some(self.total));
        let mut inside = vec![Sums::default(); self.paths.len()];
        for (_, parent, sums) in &self.paths {
            if let Some(parent) = parent {
                inside[*parent].add(sums);
            }
        }
        let mut numbers: Vec<usize> = Vec::with_capacity(self.paths.len());
        for ((callsite, parent, sums), inside) in self.paths.iter().zip(&inside) {
            let frame = Frame {
                name: callsite.map_or("?", Callsite::name),
                module: callsite.map_or("", Callsite::module),
                file: callsite.map_or("", Callsite::file),
                line: callsite.map_or(0, Callsite::line),
                is_site: false,
            };
            let totals = totals(sums, inside, is_counted);
            let parent = parent.map(|parent| numbers[parent]);
            numbers.push(hotspots.add_path(parent, frame, &totals));
        }
    }
}

/// Returns the totals of a path's calls; `inside` are the sums of the calls directly inside them.
fn totals(sums: &Sums, inside: &Sums, is_counted: bool) -> Totals {
    let ns = Duration::from_nanos;
    Totals {
        calls: sums.calls,
        failures: sums.failures,
        cancelled: sums.cancelled,
        wall: ns(sums.wall),
        self_wall: ns(sums.wall.saturating_sub(inside.wall)),
        busy: ns(sums.busy),
        self_busy: ns(sums.busy.saturating_sub(inside.busy)),
        total: is_counted.then_some(sums.total),
        net_bytes: is_counted.then_some(sums.total.net_bytes()),
        self_counts: is_counted.then(|| sums.total.saturating_sub(inside.total)),
        peak_bytes: is_counted.then_some(sums.peak_bytes),
        partial: 0,
        ahead: Counts::ZERO,
    }
}
