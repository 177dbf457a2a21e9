//! Watches the tracer's memory and the recorder's statistics under load.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use tracer::memory;
use tracer::recorder::Recorder;

const STEPS: u32 = 10;

/// Prints a line for each tenth of the time, and measures the growth of the tracer's own memory in the
/// second half.
pub(crate) struct Watch {
    time: Duration,
    is_over: AtomicBool,
    growth: AtomicI64,
    highest: AtomicI64,
}

impl Watch {
    pub(crate) fn new(time: Duration) -> Self {
        Self {
            time,
            is_over: AtomicBool::new(false),
            growth: AtomicI64::new(0),
            highest: AtomicI64::new(0),
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Relaxed)
    }

    /// The growth in the second half, in bytes.
    pub(crate) fn growth(&self) -> i64 {
        self.growth.load(Relaxed)
    }

    /// The highest number of bytes of the tracer's own memory at the end of a step.
    pub(crate) fn highest(&self) -> i64 {
        self.highest.load(Relaxed)
    }

    pub(crate) fn run(&self, recorder: &Recorder) {
        let start = Instant::now();
        let mut half = 0;
        for step in 1..=STEPS {
            let next = self.time * step / STEPS;
            std::thread::sleep(next.saturating_sub(start.elapsed()));
            let own = own_bytes();
            if step == STEPS / 2 {
                half = own;
            }
            self.growth.store(own - half, Relaxed);
            self.highest.fetch_max(own, Relaxed);
            let it = recorder.statistics();
            let resident = resident_mebibytes();
            println!(
                "{next:?}: ended {}, kept {}, not kept {}, dropped {}, own memory {own} bytes, resident {resident} MiB",
                it.ended, it.kept, it.not_kept, it.dropped,
            );
        }
        self.is_over.store(true, Relaxed);
    }
}

/// The tracer's own memory, with its records, in bytes.
fn own_bytes() -> i64 {
    memory().overhead.map_or(0, |own| own.net_bytes())
}

/// The resident memory of the process; 0 if the system doesn't report it.
fn resident_mebibytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let pages = pages
        .as_deref()
        .and_then(|it| it.split(' ').nth(1)?.parse::<u64>().ok());
    (pages.unwrap_or(0) * 4096) >> 20
}
