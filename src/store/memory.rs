//! The memory that the tracer itself takes.

use alloc_counter::Counts;

use crate::store::chunk::CHUNKS;
use crate::store::paths::PATHS;
use crate::store::strand::STRANDS;
use crate::store::sum::SUMS;
use crate::store::trace::Trace;

/// Memory that the tracer itself takes: see [`memory`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Memory {
    /// Bytes of the records of all traces. They are kept and reused, so this is the most that was ever
    /// needed at once.
    pub held_bytes: u64,
    /// Counts of the tracer's own allocations and frees, including the records; `None` if no
    /// [`Counting`](crate::Counting) allocator is installed.
    pub overhead: Option<Counts>,
}

/// Returns the memory that the tracer itself takes in this process. None of it is in any call's figures.
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
