//! The kept requests that are examples of the values in the buckets.

use std::collections::HashMap;

use crate::recorder::{ALLOCATIONS, BYTES, Histogram, WALL_NS};
use crate::report::Report;
use crate::report::duration::nanoseconds;

use super::text::Exemplar;

/// The exemplars of a route's histograms, by bucket.
#[derive(Default)]
pub(super) struct Exemplars {
    pub(super) wall: [Option<Exemplar>; WALL_NS.len()],
    pub(super) allocations: [Option<Exemplar>; ALLOCATIONS.len()],
    pub(super) bytes: [Option<Exemplar>; BYTES.len()],
}

impl Exemplars {
    /// Returns the exemplars by route: the first kept request for each bucket.
    pub(super) fn of<'a>(kept: impl IntoIterator<Item = &'a Report>) -> HashMap<&'a str, Self> {
        let mut routes: HashMap<&str, Self> = HashMap::new();
        for report in kept {
            let Some(request) = &report.request else {
                continue;
            };
            let of_route = routes.entry(&request.name).or_default();
            of_route.add(report, nanoseconds(request.wall));
        }
        routes
    }

    fn add(&mut self, report: &Report, wall_ns: u64) -> Option<()> {
        let trace_id = report.trace_id?;
        let at = report.started;
        let at = at.checked_add(report.request.as_ref()?.wall).unwrap_or(at);
        let exemplar = |value| Exemplar {
            trace_id,
            value,
            at,
        };
        put(&mut self.wall, &WALL_NS, exemplar(wall_ns));
        let total = report.total?;
        let allocates = exemplar(total.allocates());
        put(&mut self.allocations, &ALLOCATIONS, allocates);
        put(&mut self.bytes, &BYTES, exemplar(total.bytes_allocated));
        Some(())
    }
}

fn put<const BUCKETS: usize>(
    places: &mut [Option<Exemplar>; BUCKETS],
    bounds: &[u64; BUCKETS],
    exemplar: Exemplar,
) {
    let bucket = Histogram::bucket(bounds, exemplar.value);
    if let Some(place) = places.get_mut(bucket) {
        place.get_or_insert(exemplar);
    }
}
