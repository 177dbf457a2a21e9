//! Time that processors have spent: not disturbed by who else uses them, but without waiting.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// What all threads of the process have used until now.
pub fn process_time() -> Duration {
    read(ClockId::ProcessCPUTime)
}

/// What this thread has used until now.
pub fn thread_time() -> Duration {
    read(ClockId::ThreadCPUTime)
}

fn read(clock: ClockId) -> Duration {
    Duration::try_from(clock_gettime(clock)).unwrap_or_default()
}
