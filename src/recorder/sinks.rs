//! The sinks of kept reports besides the memory. Each has a thread and a queue of its own, so a slow one
//! delays nobody. One that sends reports over the network has a further thread, and counts them itself.

use std::fmt::Display;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;
use std::time::Instant;

use crate::report::Report;

use super::process_lock::ProcessLock;
use super::queue::Queue;

/// Takes a report into a sink. Returns an error's text if that failed.
pub(crate) type Taker = Box<dyn FnMut(&Arc<Report>) -> Result<Taken, String> + Send>;

/// What a sink has done with a report.
pub(crate) enum Taken {
    /// It has taken it.
    Now,
    /// It has counted what became of it, or will.
    #[cfg(feature = "otlp")]
    ByItself,
}

/// A sink, with its queue and its counters.
pub(super) struct Sink {
    pub(super) name: String,
    pub(super) queue: Queue<Arc<Report>>,
    counts: Arc<SinkCounts>,
    later: Option<Arc<dyn Later>>,
}

/// A sink that has not been started.
pub(super) struct NewSink {
    pub(super) name: String,
    pub(super) take: Taker,
    pub(super) counts: Arc<SinkCounts>,
    pub(super) later: Option<Arc<dyn Later>>,
}

/// The part of a sink behind its own thread, if it has one: reports wait there until they are sent.
pub(crate) trait Later: Send + Sync {
    /// Returns how many reports wait.
    fn waiting(&self) -> usize;

    /// Waits until all reports that have come until now are sent or lost. Returns `false` after the deadline.
    fn wait(&self, deadline: Instant) -> bool;

    /// Gives up at this moment what is not sent by then.
    fn end_by(&self, deadline: Instant);
}

/// A sink of another module, before its recorder is started.
#[cfg(feature = "otlp")]
pub(crate) trait Attach: Send {
    /// Returns the sink's name, for statistics.
    fn name(&self) -> String;

    /// Starts its thread. It ends after the taker is dropped.
    fn start(self: Box<Self>, counts: Arc<SinkCounts>) -> io::Result<Attached>;
}

/// A sink of another module.
#[cfg(feature = "otlp")]
pub(crate) struct Attached {
    pub(crate) take: Taker,
    pub(crate) later: Arc<dyn Later>,
    pub(crate) thread: JoinHandle<()>,
}

/// The counters of a sink.
pub(crate) struct SinkCounts {
    taken: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
    refused_spans: AtomicU64,
    reopened: Arc<AtomicU64>,
    last_error: ProcessLock<Option<String>>,
}

impl SinkCounts {
    /// Returns counters of 0. `reopened` counts how often a file was opened again.
    pub(super) fn new(reopened: Arc<AtomicU64>) -> Arc<Self> {
        Arc::new(Self {
            taken: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            refused_spans: AtomicU64::new(0),
            reopened,
            last_error: ProcessLock::new(None),
        })
    }

    /// Counts reports that the sink took.
    pub(crate) fn take(&self, reports: u64) {
        self.taken.fetch_add(reports, Relaxed);
    }

    /// Counts reports that the sink failed to take, for this reason.
    pub(crate) fn fail(&self, reports: u64, why: &dyn Display) {
        self.failed.fetch_add(reports, Relaxed);
        self.note(why);
    }

    /// Counts reports for which there was no room.
    pub(crate) fn drop_reports(&self, reports: u64) {
        self.dropped.fetch_add(reports, Relaxed);
    }

    /// Counts spans of taken reports that were refused, for this reason.
    #[cfg(feature = "otlp")]
    pub(crate) fn refuse_spans(&self, spans: u64, why: &dyn Display) {
        self.refused_spans.fetch_add(spans, Relaxed);
        self.note(why);
    }

    /// Sets the last error.
    pub(crate) fn note(&self, why: &dyn Display) {
        if let Some(mut last_error) = self.last_error.take() {
            *last_error = Some(crate::primitives::text::Text::of(why).to_string());
        }
    }
}

/// Counts of one sink: what became of the kept reports there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SinkStatistics {
    /// The path of a file, the name of a callback, or the address of a collector.
    pub name: String,
    /// Reports that the sink took.
    pub taken: u64,
    /// Reports that the sink failed to take, with an error or a panic. For a collector: reports that it
    /// refused, or that were given up.
    pub failed: u64,
    /// Reports that found no room in the sink's queue or buffer, because it is slow.
    pub dropped: u64,
    /// Spans of [taken](Self::taken) reports that a collector refused. 0 for other sinks.
    pub refused_spans: u64,
    /// How often the file had been deleted, moved or replaced by others, and was opened or created again
    /// at its path. 0 for other sinks.
    pub reopened: u64,
    /// Reports that wait in the sink's queue or buffer.
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
    /// Starts the sink's thread.
    pub(super) fn start(
        new: NewSink,
        queue_bytes: usize,
    ) -> io::Result<(Arc<Self>, JoinHandle<()>)> {
        let mut take = new.take;
        let sink = Arc::new(Self {
            name: new.name,
            queue: Queue::new(super::MOST_WAITING, queue_bytes),
            counts: new.counts,
            later: new.later,
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
            Ok(Ok(Taken::Now)) => return self.counts.take(1),
            #[cfg(feature = "otlp")]
            Ok(Ok(Taken::ByItself)) => return,
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
        self.counts.fail(1, &why);
    }

    /// Waits until all reports that have come until now were taken, and sent. Returns `false` after the
    /// deadline.
    pub(super) fn wait(&self, deadline: Instant) -> bool {
        let is_taken = self.queue.wait(deadline);
        let is_sent = self.later.as_ref().is_none_or(|it| it.wait(deadline));
        is_taken && is_sent
    }

    /// Gives up at this moment what is not sent by then.
    pub(super) fn end_by(&self, deadline: Instant) {
        if let Some(later) = &self.later {
            later.end_by(deadline);
        }
    }

    /// Queues a report, which takes this many bytes, or counts it as dropped.
    pub(super) fn offer(&self, report: &Arc<Report>, bytes: usize) {
        if self.queue.push(Arc::clone(report), bytes).is_err() {
            self.counts.drop_reports(1);
        }
    }

    pub(super) fn statistics(&self) -> SinkStatistics {
        let counts = &self.counts;
        let later = self.later.as_ref().map_or(0, |it| it.waiting());
        SinkStatistics {
            name: self.name.clone(),
            taken: counts.taken.load(Relaxed),
            failed: counts.failed.load(Relaxed),
            dropped: counts.dropped.load(Relaxed),
            refused_spans: counts.refused_spans.load(Relaxed),
            reopened: counts.reopened.load(Relaxed),
            waiting: self.queue.load().0 + later,
            last_error: counts.last_error.take().and_then(|it| it.clone()),
        }
    }
}
