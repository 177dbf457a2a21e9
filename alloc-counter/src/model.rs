//! Helpers for models, of this crate and of others.

use crate::Local;
use crate::registry;
use crate::slot::{Operation, Slot};

pub use crate::sync::AtomicCell;

/// A thread's counters, given back on drop. Under loom no allocator counts; the model tells when a
/// thread allocates.
#[expect(missing_debug_implementations, reason = "of use to models only")]
pub struct Counters(&'static Slot);

impl Counters {
    /// Claims counters from the registry.
    pub fn claim() -> Option<Self> {
        registry::claim().map(Self)
    }

    /// Counts an allocation.
    pub fn allocate(&self, bytes: usize) {
        // SAFETY: these counters have claimed the slot until they are dropped, and a model has one thread count by them.
        unsafe { self.0.count(Operation::Allocate, 0, bytes) };
    }

    /// Returns what [`Local::current`] returns on the thread.
    pub fn local(&self) -> Local {
        Local::of(self.0)
    }
}

impl Drop for Counters {
    fn drop(&mut self) {
        registry::release(self.0);
    }
}

/// Runs a model in all orders with at most `preemptions` preemptions.
///
/// Loom prunes orders that it takes for equivalent. It remembers one access to each atomic, so if a
/// thread loads and then stores, it misses that another thread has loaded before; with a bound it
/// prunes less, and it sees loads after stores. So there is always a bound, and models write in their
/// first thread, which loom runs first, and read in another.
pub fn explore(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(preemptions));
    let executions = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = std::sync::Arc::clone(&executions);
    builder.check(move || {
        counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        model();
    });
    println!("{executions:?} executions");
}
