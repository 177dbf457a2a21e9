//! What the tracer takes for itself.

use alloc_counter::Counts;

use crate::store::chunk::CHUNKS;
use crate::store::paths::PATHS;
use crate::store::strand::STRANDS;
use crate::store::sum::SUMS;
use crate::store::trace::Trace;

/// What the tracer takes for itself: see [`memory`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Memory {
    /// Bytes of the records of all traces. They are kept and used again: so many as were ever
    /// needed at once.
    pub held_bytes: u64,
    /// All that the tracer has allocated and freed for itself, the records included; `None` where
    /// no [`Counting`](crate::Counting) allocator is installed.
    pub overhead: Option<Counts>,
}

/// What the tracer takes for itself in this process, of which nothing is in any call's figures.
///
/// Cost: in proportion to what it holds, about a microsecond for each megabyte.
///
/// ```
/// # #[global_allocator] static A: tracer::Counting = tracer::Counting::system();
/// use tracer::{Trace, call, memory};
///
/// let request = || {
///     let trace = Trace::new();
///     let _scope = trace.inject();
///     call!().stop();
/// };
/// request();
/// let once = memory();
/// (0..1000).for_each(|_| request());
/// assert_eq!(memory(), once);
/// ```
pub fn memory() -> Memory {
    Memory {
        held_bytes: CHUNKS.held_bytes()
            + STRANDS.held_bytes()
            + SUMS.held_bytes()
            + PATHS.held_bytes()
            + Trace::held_bytes(),
        overhead: alloc_counter::process().map(|process| process.overhead),
    }
}
