//! All that was counted since a recorder's start, for those who compute differences themselves.

use super::Recorder;
use super::ever::Ever;
use super::stripe::EndedCounts;

/// What was counted of the requests of one name since the recorder's start.
#[derive(Clone, Debug)]
pub(crate) struct RouteTotals {
    pub(crate) name: String,
    pub(crate) in_flight: u64,
    /// Together with `in_flight`, all of one moment.
    pub(crate) ended: EndedCounts,
    /// A little later than that moment.
    pub(crate) ever: Ever,
}

/// The limits of a recorder, and what it has used of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) memory_bytes: usize,
    pub(crate) names: usize,
    pub(crate) most_names: usize,
}

impl Recorder {
    /// Returns what was counted of each name that ever had requests, sorted by name.
    pub(crate) fn totals(&self) -> Vec<RouteTotals> {
        let shared = &self.inner.shared;
        let routes = shared.routes.all();
        let counted = shared.stripes.counted();
        let ever = shared.stripes.ever(counted.len());
        let routes = routes.into_iter().filter_map(|route| {
            let counted = counted.get(route.number).filter(|it| it.begun > 0)?;
            Some(RouteTotals {
                name: route.name.clone(),
                in_flight: counted.in_flight(),
                ended: counted.ended,
                ever: ever.get(route.number)?.clone(),
            })
        });
        routes.collect()
    }

    /// Returns the limits, and what is used of them.
    pub(crate) fn bounds(&self) -> Bounds {
        let shared = &self.inner.shared;
        let most_names = shared.routes.most();
        Bounds {
            memory_bytes: shared.memory_bytes,
            // Without the one that stands for all others.
            names: shared.routes.iter().count().saturating_sub(1),
            most_names,
        }
    }

    /// Returns whether allocations are counted.
    pub(crate) fn is_counted(&self) -> bool {
        self.inner.shared.is_counted
    }
}
