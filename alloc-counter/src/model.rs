//! What models need, of this crate and of others.

use crate::Local;
use crate::registry;
use crate::slot::{Operation, Slot};

pub use crate::sync::AtomicCell;

/// A thread's counters, given back when this is dropped. Under loom there is no allocator that
/// counts, and the model says when a thread has allocated.
#[expect(missing_debug_implementations, reason = "of use to models only")]
pub struct Counters(&'static Slot);

impl Counters {
    /// Claims counters from the registry.
    pub fn claim() -> Option<Self> {
        registry::claim().map(Self)
    }

    /// Counts an allocation.
    pub fn allocate(&self, bytes: usize) {
        self.0.count(Operation::Allocate, 0, bytes);
    }

    /// As [`Local::current`] has it on the thread.
    pub fn local(&self) -> Local {
        Local::of(self.0)
    }
}

impl Drop for Counters {
    fn drop(&mut self) {
        registry::release(self.0);
    }
}

/// Runs a model in the orders that have so many preemptions at most.
///
/// Loom leaves out orders that it takes for equal to others. It remembers one access to each
/// atomic, so where a thread loads and then stores, it does not see that another has loaded before;
/// with a bound it is more careful, and it sees loads after stores. So there is always a bound, and
/// what is written is written by the model's first thread, which loom runs first, and read by
/// another.
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
