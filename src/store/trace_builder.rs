//! Making a trace with settings.

#[cfg(feature = "sites")]
use alloc_counter::Sites;

use crate::store::limits::{Limits, Room};
use crate::store::trace::{DEFAULT_CAPACITY, Trace};

/// Settings of a new trace, made by [`Trace::builder`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "`build` makes the trace"]
pub struct TraceBuilder {
    capacity: usize,
    limits: Limits,
    /// Of both.
    room: Room,
    #[cfg(feature = "sites")]
    sites: Option<Sites>,
    #[cfg(feature = "propagation")]
    is_sampled: bool,
}

impl Trace {
    /// Returns the settings of a new trace, to be changed.
    pub fn builder() -> TraceBuilder {
        TraceBuilder {
            capacity: DEFAULT_CAPACITY,
            limits: Limits::DEFAULT,
            room: Room::of(DEFAULT_CAPACITY, Limits::DEFAULT),
            #[cfg(feature = "sites")]
            sites: None,
            #[cfg(feature = "propagation")]
            is_sampled: false,
        }
    }
}

impl TraceBuilder {
    /// Sets for how many calls the trace has room before it must grow; 10 by default.
    pub const fn capacity(mut self, calls: usize) -> Self {
        self.capacity = calls;
        self.room = Room::of(calls, self.limits);
        self
    }

    /// Sets the [limits](Limits).
    pub const fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self.room = Room::of(self.capacity, limits);
        self
    }

    /// Records the lines that allocate in each call: [`CallReport::sites`](crate::CallReport::sites).
    ///
    /// Cost: with [exact](Sites::exact) sites, about a quarter of a microsecond for each allocation. With
    /// [sampled](Sites::sampled) ones, 5 ns for each with its free, and a microsecond for those that are chosen.
    /// The first such trace of a process reads the tables for unwinding.
    ///
    /// ```
    /// # #[global_allocator] static A: tracer::Counting = tracer::Counting::system();
    /// use tracer::alloc::Sites;
    /// use tracer::{Trace, traced};
    ///
    /// #[traced]
    /// fn load() -> Vec<u8> {
    ///     std::hint::black_box(vec![0; 1000])
    /// }
    ///
    /// let trace = Trace::builder().sites(Sites::exact()).build();
    /// let scope = trace.inject();
    /// load();
    /// drop(scope);
    ///
    /// let report = trace.report().resolved();
    /// let sites = report.calls[0].sites.as_ref().expect("they are wanted");
    /// assert_eq!((sites.len(), sites[0].bytes_allocated), (1, 1000));
    /// println!("{report:#}");
    /// ```
    #[cfg(feature = "sites")]
    pub const fn sites(mut self, sites: Sites) -> Self {
        self.sites = Some(sites);
        self
    }

    /// Records exact sites in a trace that these settings made, in all strands that begin from now on.
    #[cfg(all(feature = "sites", feature = "recorder"))]
    pub(crate) fn record_exact_sites(self, trace: &Trace) {
        if let Some(allowance) = trace.allowance() {
            let (sites, most) = (Some(Sites::exact()), self.limits.sites);
            allowance.sites.reset(sites, most);
        }
    }

    /// Sets whether the trace is sent to other services as sampled, unless it continues another one, whose flag it
    /// sends on; `false` by default. See [`propagation`](crate::propagation) for what they make of it.
    ///
    /// ```
    /// use tracer::Trace;
    /// use tracer::propagation::TraceContext;
    ///
    /// let trace = Trace::builder().sampled(true).build();
    /// let _scope = trace.inject();
    /// assert!(TraceContext::current().unwrap().is_sampled());
    /// ```
    #[cfg(feature = "propagation")]
    pub const fn sampled(mut self, is_sampled: bool) -> Self {
        self.is_sampled = is_sampled;
        self
    }

    /// Makes the trace. If memory runs out, it is an [empty](Trace::empty) one.
    pub fn build(self) -> Trace {
        let trace = Trace::with_room(
            &self.room,
            #[cfg(feature = "sites")]
            (self.sites, self.limits.sites),
        );
        #[cfg(feature = "propagation")]
        if self.is_sampled {
            trace.send_sampled();
        }
        trace
    }
}
