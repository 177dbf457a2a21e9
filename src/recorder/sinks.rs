//! The sinks of kept reports besides the memory. Each has a thread and a queue of its own, so a slow one
//! delays nobody.

use std::fmt::Display;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;

use crate::report::Report;

use super::process_lock::ProcessLock;
use super::queue::Queue;

/// Takes a report into a sink. Returns an error's text if that failed.
pub(super) type Taker = Box<dyn FnMut(&Arc<Report>) -> Result<(), String> + Send>;

/// A sink, with its queue and its counters.
pub(super) struct Sink {
    pub(super) name: String,
    pub(super) queue: Queue<Arc<Report>>,
    taken: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
    reopened: Arc<AtomicU64>,
    last_error: ProcessLock<Option<String>>,
}

/// Counts of one sink: what became of the kept reports there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SinkStatistics {
    /// The path of a file, or the name of a callback.
    pub name: String,
    /// Reports that the sink took.
    pub taken: u64,
    /// Reports that the sink failed to take, with an error or a panic.
    pub failed: u64,
    /// Reports that found no room in the sink's queue, because it is slow.
    pub dropped: u64,
    /// How often the file had been deleted, moved or replaced by others, and was opened or created again
    /// at its path. 0 for a callback.
    pub reopened: u64,
    /// Reports that wait in the sink's queue.
    pub waiting: usize,
    /// The last error.
    pub last_error: Option<String>,
}

/// All sinks, owned by the thread that hands reports to them: their queues are closed when it ends.
#[derive(Default)]
pub(super) struct Sinks(pub(super) Vec<Arc<Sink>>);

impl Drop for Sinks {
    fn drop(&mut self) {
        for sink in &self.0 {
            sink.queue.close();
        }
    }
}

impl Sink {
    /// Starts the sink's thread. `reopened` counts how often a file was opened again.
    pub(super) fn start(
        name: String,
        queue_bytes: usize,
        mut take: Taker,
        reopened: Arc<AtomicU64>,
    ) -> io::Result<(Arc<Self>, JoinHandle<()>)> {
        let sink = Arc::new(Self {
            name,
            queue: Queue::new(super::MOST_WAITING, queue_bytes),
            taken: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            reopened,
            last_error: ProcessLock::new(None),
        });
        let mine = Arc::clone(&sink);
        let work = move || {
            mine.queue.each(|report| {
                mine.take(&report, &mut take);
                // A report is the recorder's memory. What the sink allocates is the sink's.
                alloc_counter::exclude(|| drop(report));
            });
        };
        let thread = std::thread::Builder::new()
            .name("tracer-sink".to_owned())
            .spawn(work)?;
        Ok((sink, thread))
    }

    fn take(&self, report: &Arc<Report>, take: &mut Taker) {
        let result = catch_unwind(AssertUnwindSafe(|| take(report)));
        let error = match result {
            Ok(Ok(())) => {
                self.taken.fetch_add(1, Relaxed);
                return;
            }
            Ok(Err(error)) => error,
            Err(payload) => {
                let text = payload.downcast_ref::<&str>().copied();
                let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
                let text = format!("panicked: {}", text.unwrap_or("(no text)"));
                crate::primitives::text::drop_quietly(payload);
                text
            }
        };
        self.fail(error);
    }

    /// Counts a report that the sink failed to take, for this reason.
    pub(super) fn fail(&self, why: impl Display) {
        self.failed.fetch_add(1, Relaxed);
        if let Some(mut last_error) = self.last_error.take() {
            *last_error = Some(crate::primitives::text::Text::of(&why).to_string());
        }
    }

    /// Queues a report, which takes this many bytes, or counts it as dropped.
    pub(super) fn offer(&self, report: &Arc<Report>, bytes: usize) {
        if self.queue.push(Arc::clone(report), bytes).is_err() {
            self.dropped.fetch_add(1, Relaxed);
        }
    }

    pub(super) fn statistics(&self) -> SinkStatistics {
        SinkStatistics {
            name: self.name.clone(),
            taken: self.taken.load(Relaxed),
            failed: self.failed.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
            reopened: self.reopened.load(Relaxed),
            waiting: self.queue.load().0,
            last_error: self.last_error.take().and_then(|it| it.clone()),
        }
    }
}
