//! What a recorder's handles, its requests and its threads share.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::limits::Limits;

use super::finished::Finished;
use super::policy::Policy;
use super::queue::Queue;
use super::ring::Ring;
use super::route::Routes;
use super::stripe::Stripes;

pub(super) struct Shared {
    pub(super) policy: Policy,
    pub(super) capacity: usize,
    pub(super) limits: Limits,
    pub(super) window_ns: u64,
    pub(super) is_counted: bool,
    pub(super) routes: Routes,
    pub(super) stripes: Stripes,
    pub(super) queue: Queue<Finished>,
    ring: Mutex<Ring>,
    policy_panics: AtomicU64,
}

impl Shared {
    pub(super) fn new(
        policy: Policy,
        (capacity, limits): (usize, Limits),
        window_ns: u64,
        names: usize,
        (ring_bytes, queue_bytes, baseline_bytes): (usize, usize, usize),
    ) -> Self {
        Self {
            routes: Routes::new(names, &policy),
            policy,
            capacity,
            limits,
            window_ns,
            is_counted: alloc_counter::is_installed(),
            stripes: Stripes::new(baseline_bytes),
            queue: Queue::new(super::MOST_WAITING, queue_bytes),
            ring: Mutex::new(Ring::new(ring_bytes)),
            policy_panics: AtomicU64::new(0),
        }
    }

    pub(super) fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn note_panics(&self, panics: u64) {
        if panics > 0 {
            self.policy_panics.fetch_add(panics, Relaxed);
        }
    }

    pub(super) fn policy_panics(&self) -> u64 {
        self.policy_panics.load(Relaxed)
    }
}
