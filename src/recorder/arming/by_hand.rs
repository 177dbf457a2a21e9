//! Arming a route by hand.

use crate::primitives::clock;
use crate::recorder::Recorder;
use crate::recorder::bounded::bounded;
use crate::recorder::route::OTHER;

use super::Arming;

impl Recorder {
    /// Arms the route of this name: its next requests, 20 by default, record which lines allocate, and are
    /// kept. If it is armed already, it begins again. See [`Arming`] for the limits and the cost.
    ///
    /// The route need not have had requests. It stays armed until so many of them have begun.
    ///
    /// Returns `false` if it is not armed: as many other routes are as [may be](Arming::routes), there are too
    /// many [names](crate::recorder::Builder::names), or no [`Counting`](crate::Counting) allocator is installed.
    ///
    /// ```
    /// # #[global_allocator] static A: tracer::Counting = tracer::Counting::system();
    /// # use std::time::Duration;
    /// use tracer::call;
    /// use tracer::recorder::{Policy, Recorder};
    ///
    /// let recorder = Recorder::builder().policy(Policy::none()).start()?;
    /// assert!(recorder.arm("GET /orders/{id}"));
    /// for _ in 0..25 {
    ///     recorder.record("GET /orders/{id}", || call!("handle").stop());
    /// }
    /// recorder.flush(Duration::from_secs(5));
    /// let kept = recorder.kept();
    /// assert_eq!((kept.len(), kept.iter().all(|report| report.calls[0].sites.is_some())), (20, true));
    /// # Ok::<(), tracer::recorder::StartError>(())
    /// ```
    pub fn arm(&self, name: &str) -> bool {
        let shared = &self.inner.shared;
        shared.is_counted
            && alloc_counter::exclude(|| {
                let name = bounded(name);
                let make_room = |number| shared.stripes.make_room(number);
                let number = shared.routes.get(&name, &shared.policy, make_room);
                if number == 0 && *name != *OTHER {
                    return false;
                }
                Arming::warm_up();
                let now = clock::nanoseconds(clock::ticks());
                let others = shared.routes.iter().map(|other| &other.watch);
                let watch = &shared.routes.at(number).watch;
                shared.arms.arm(watch, now, others)
            })
    }
}
