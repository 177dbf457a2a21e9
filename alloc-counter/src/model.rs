//! What models of other crates need of this one.

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
