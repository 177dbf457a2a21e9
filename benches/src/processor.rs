//! Processor time: not disturbed by other programs, but without waiting.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The time that all threads of the process have used.
pub fn process_time() -> Duration {
    read(ClockId::ProcessCPUTime)
}

/// The time that this thread has used.
pub fn thread_time() -> Duration {
    read(ClockId::ThreadCPUTime)
}

fn read(clock: ClockId) -> Duration {
    Duration::try_from(clock_gettime(clock)).unwrap_or_default()
}
