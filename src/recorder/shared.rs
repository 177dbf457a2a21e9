//! The state that a recorder's handles, its requests and its threads share.

use std::sync::atomic::{AtomicBool, AtomicU64};

use crate::primitives::clock;
use crate::store::trace_builder::TraceBuilder;

#[cfg(feature = "sites")]
use super::arming::{Arming, Arms};
use super::finished::Finished;
use super::minutes::Minutes;
use super::policy::Policy;
use super::process_lock::ProcessLock;
use super::queue::Queue;
use super::ring::Ring;
use super::route::Routes;
use super::stripe::Stripes;

pub(super) struct Shared {
    /// The settings of the requests' traces.
    pub(super) traces: TraceBuilder,
    pub(super) window_ns: u64,
    /// The memory that the program allows.
    #[cfg(feature = "metrics")]
    pub(super) memory_bytes: usize,
    pub(super) is_counted: bool,
    pub(super) routes: Routes,
    pub(super) stripes: Stripes,
    pub(super) queue: Queue<Finished>,
    ring: ProcessLock<Ring>,
    /// Typical requests, in a ring of their own.
    typical: ProcessLock<Ring>,
    #[cfg(feature = "sites")]
    pub(super) arms: Arms,
    /// How often a rule of the program panicked.
    pub(super) policy_panics: AtomicU64,
    /// Whether a panic hook is set.
    pub(super) dumps_on_panic: AtomicBool,
    /// Dropped last: the names of its rules are the program's memory.
    pub(super) policy: Policy,
}

impl Shared {
    pub(super) fn new(
        policy: Policy,
        traces: TraceBuilder,
        window_ns: u64,
        names: usize,
        memory_bytes: usize,
        #[cfg(feature = "sites")] arming: Arming,
    ) -> Self {
        let sixteenth = memory_bytes / 16;
        let (ring_bytes, queue_bytes) = (5 * sixteenth, memory_bytes / 8);
        let baseline_bytes = memory_bytes / 4;
        let names = names.min(Stripes::most_names(baseline_bytes));
        let of_names = names * (Routes::PLACE_BYTES + Minutes::LEAST_BYTES);
        let for_stripes = baseline_bytes.saturating_sub(sixteenth + of_names);
        Self {
            routes: Routes::new(names, &policy, sixteenth),
            traces,
            window_ns,
            #[cfg(feature = "metrics")]
            memory_bytes,
            is_counted: alloc_counter::is_installed(),
            stripes: Stripes::new(for_stripes),
            queue: Queue::new(super::MOST_WAITING, queue_bytes),
            ring: ProcessLock::new(Ring::new(ring_bytes)),
            typical: ProcessLock::new(Ring::new(sixteenth)),
            #[cfg(feature = "sites")]
            arms: Arms::new(arming, window_ns),
            policy_panics: AtomicU64::new(0),
            dumps_on_panic: AtomicBool::new(false),
            policy,
        }
    }

    /// Looks at the ring; `None` in a process that was forked while another thread held its lock.
    pub(super) fn ring<T>(&self, look: impl FnOnce(&mut Ring) -> T) -> Option<T> {
        Some(look(&mut *self.ring.take()?))
    }

    /// Looks at the typical requests, as [`ring`](Self::ring) does at the kept ones.
    pub(super) fn typical<T>(&self, look: impl FnOnce(&mut Ring) -> T) -> Option<T> {
        Some(look(&mut *self.typical.take()?))
    }

    /// Returns the number of the window of time that a moment, in the clock's nanoseconds, is in.
    pub(super) fn window(&self, moment_ns: u64) -> u64 {
        moment_ns / self.window_ns
    }

    /// Returns the number of the present window.
    pub(super) fn window_now(&self) -> u64 {
        self.window(clock::nanoseconds(clock::ticks()))
    }
}
