//! The flight recorder: traces every request, and decides at its end whether to keep it.
//!
//! A [`Recorder`] begins a trace for each request. When the request is over, however it ended, its
//! figures go into the [baseline](Compared) of its name, and a [`Policy`] decides whether it is kept. No
//! report is built of a request that is not kept. A kept request is compared with its baseline on the
//! recorder's own thread, and goes to its sinks: a bounded ring in memory and, if set, a file of JSON
//! lines and callbacks.
//!
//! ```
//! use std::time::Duration;
//! use tracer::recorder::{Policy, Recorder};
//! use tracer::{Counting, call};
//!
//! # #[global_allocator] static A: Counting = Counting::system();
//! let policy = Policy::none().failed().slower_than(Duration::from_millis(200));
//! let recorder = Recorder::builder().policy(policy).start()?;
//!
//! for number in 1..=100 {
//!     let mut request = recorder.begin("GET /orders/{id}");
//!     request.id(number);
//!     let _scope = request.inject();
//!     let call = call!("{number}");
//!     if number == 42 {
//!         call.fail("write: broken pipe");
//!     }
//! }
//!
//! recorder.flush(Duration::from_secs(5));
//! let kept = recorder.kept();
//! let request = kept[0].request.as_ref().unwrap();
//! assert_eq!((kept.len(), request.id.as_deref()), (1, Some("42")));
//! let statistics = recorder.statistics();
//! assert_eq!((statistics.ended, statistics.kept, statistics.not_kept), (100, 1, 99));
//! # Ok::<(), tracer::recorder::StartError>(())
//! ```
//!
//! # Cost
//!
//! On the request's thread: some 600 instructions for each call, once, at the end, under a lock that
//! other requests seldom want and readers never do. A request that is not kept allocates nothing. In
//! memory: [`memory_bytes`](Builder::memory_bytes), 16 MiB by default, and the records of the traces that
//! are not over.
//!
//! # Counts
//!
//! Every request that began has ended or is in flight, and every one that ended was kept, not kept or
//! dropped: the figures of [`Statistics`] add up exactly. A request is [dropped](Statistics::dropped) if
//! the policy would have kept it, but there was no room or no memory for it. Each sink counts what it
//! took, failed to take and dropped.

mod armed;
#[cfg(feature = "sites")]
mod arming;
mod baseline;
mod bounded;
mod builder;
mod bytes;
mod compare;
mod dump;
#[cfg(feature = "metrics")]
mod ever;
mod file;
mod file_lock;
mod finished;
mod id;
mod minutes;
mod name;
mod policy;
mod process_lock;
mod queue;
mod quota;
mod recent;
mod recording;
mod ring;
mod route;
mod shared;
mod sinks;
mod sketch;
mod statistics;
mod stripe;
mod top;
#[cfg(feature = "metrics")]
mod totals;
mod typical;
#[cfg(feature = "sentry")]
mod weak;
mod window;
mod worker;

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::primitives::excluded::Own;
#[cfg(doc)]
use crate::report::Compared;
use crate::report::Report;

#[cfg(not(feature = "tower"))]
use name::Name;
#[cfg(not(feature = "otlp"))]
use process_lock::ProcessLock;
use shared::Shared;
use sinks::Sink;

pub use armed::{ArmedRoute, ArmingStatistics};
#[cfg(feature = "sites")]
pub use arming::Arming;
#[cfg(feature = "tower")]
pub(crate) use bounded::bounded;
pub use builder::{Builder, StartError};
#[cfg(any(feature = "otlp", feature = "web"))]
pub(crate) use bytes::bytes_of;
pub use dump::RequestInFlight;
#[cfg(feature = "metrics")]
pub(crate) use ever::{ALLOCATIONS, BYTES, Histogram, WALL_NS};
pub use file::Rotation;
pub use minutes::Minute;
pub use policy::{Ended, Policy, Reason};
#[cfg(feature = "metrics")]
pub(crate) use queue::Refusal;
pub use recording::{Recorded, Recording};
pub use sinks::SinkStatistics;
pub use statistics::{RouteStatistics, Statistics};
#[cfg(feature = "metrics")]
pub(crate) use stripe::Ending;
#[cfg(feature = "sentry")]
pub(crate) use weak::WeakRecorder;
#[cfg(feature = "tower")]
pub(crate) use {
    id::{Id, IdText},
    name::Name,
};
#[cfg(feature = "otlp")]
pub(crate) use {
    process_lock::ProcessLock,
    sinks::{Attach, Attached, Later, SinkCounts, Taken},
    worker::has_memory,
};

/// The most kept requests that wait for one thread.
const MOST_WAITING: usize = 1024;
/// How long the drop of a recorder waits for its sinks.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// Begins the traces of requests and keeps those that matter: see the [module](self).
///
/// A handle: it clones cheaply. When the last one is dropped, the kept requests are written out, which
/// takes five seconds at most; requests that end later are [dropped](Statistics::dropped).
#[doc(alias = "tail sampling")]
pub struct Recorder {
    inner: Own<Arc<Inner>>,
}

struct Inner {
    shared: Arc<Shared>,
    sinks: Arc<[Arc<Sink>]>,
    /// The files of kept requests.
    #[cfg(feature = "web")]
    files: Option<crate::search::files::Files>,
    /// A forked process has none of these threads.
    threads: ProcessLock<Vec<JoinHandle<()>>>,
}

impl Recorder {
    /// Returns a builder, by default of a recorder with the [default policy](Policy), 16 MiB of memory
    /// and no further sinks.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Begins to record a request of this name: its route, its kind of job. Requests of one name are
    /// compared with each other, so what tells them apart belongs in the [id](Recording::id). A name
    /// that is known only later is set by [`Recording::name`].
    ///
    /// Cost: a fraction of a microsecond.
    pub fn begin(&self, name: &str) -> Recording {
        let begin = || Recording::begin_inside(&self.inner.shared, Name::of(name), None);
        alloc_counter::exclude(begin)
    }

    /// Begins to record a request that has this id. The caller is inside of [`alloc_counter::exclude`].
    #[cfg(feature = "tower")]
    #[inline]
    pub(crate) fn begin_inside(&self, name: Name<'_>, id: Option<IdText<'_>>) -> Recording {
        Recording::begin_inside(&self.inner.shared, name, id)
    }

    /// Records `work` on this thread as a request of this name.
    ///
    /// ```
    /// # use tracer::recorder::Recorder;
    /// let recorder = Recorder::builder().start()?;
    /// assert_eq!(recorder.record("sum", || 1 + 1), 2);
    /// assert_eq!(recorder.statistics().ended, 1);
    /// # Ok::<(), tracer::recorder::StartError>(())
    /// ```
    pub fn record<T>(&self, name: &str, work: impl FnOnce() -> T) -> T {
        let recording = self.begin(name);
        let _scope = recording.inject();
        work()
    }

    /// Returns the kept requests that are in memory, the last that was kept first.
    ///
    /// A request that has just ended appears here once its report is built: [`flush`](Self::flush) waits
    /// for that.
    pub fn kept(&self) -> Vec<Arc<Report>> {
        self.inner
            .shared
            .ring(|ring| ring.reports())
            .unwrap_or_default()
    }

    /// Returns typical requests of this name that are in memory, the last one first, to compare others with.
    ///
    /// Now and then the recorder builds the report of a request that stands for the others of its name. In each
    /// [window](Builder::window), and at most once a second, that is the first one that ended well and differs by
    /// at most an eighth from the median time and from the median number of allocations in the
    /// [baseline](Compared), if there are 20 requests in it. Medians are at most a second old. A typical request
    /// needs no reason of the [`Policy`], and goes to no sink. The oldest ones of the name with most of them are
    /// dropped first.
    ///
    /// Cost: that of a kept request in each window and name, and until one is found, some microseconds once a
    /// second.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tracer::recorder::{Policy, Recorder};
    ///
    /// let recorder = Recorder::builder().policy(Policy::none()).start()?;
    /// for _ in 0..5_000 {
    ///     recorder.record("GET /", || std::thread::sleep(Duration::from_millis(1)));
    ///     # if !recorder.typical("GET /").is_empty() { break; }
    /// }
    /// recorder.flush(Duration::from_secs(5));
    /// assert_eq!((recorder.typical("GET /").len(), recorder.kept().len()), (1, 0));
    /// # Ok::<(), tracer::recorder::StartError>(())
    /// ```
    pub fn typical(&self, name: &str) -> Vec<Arc<Report>> {
        let all = self.inner.shared.typical(|typical| typical.reports());
        let mut all = all.unwrap_or_default();
        all.retain(|report| { report.request.as_ref() }.is_some_and(|it| it.name == name));
        all
    }

    /// Returns the kept or [typical](Self::typical) request with this [trace](Report::trace), if it is in memory.
    pub fn get(&self, trace: u64) -> Option<Arc<Report>> {
        let shared = &self.inner.shared;
        let kept = shared.ring(|ring| ring.get(trace)).flatten();
        kept.or_else(|| shared.typical(|typical| typical.get(trace))?)
    }

    /// Opens the files to which kept requests are written, the newest first.
    #[cfg(feature = "web")]
    pub(crate) fn open_files(&self) -> Vec<crate::search::files::OpenFile> {
        let files = self.inner.files.as_ref();
        files
            .map(crate::search::files::Files::open)
            .unwrap_or_default()
    }

    /// Waits until all requests that have ended have arrived in memory and at every sink. Returns
    /// `false` if that takes longer than `patience`, and at once if it is called in a callback, where it
    /// would wait for itself.
    pub fn flush(&self, patience: Duration) -> bool {
        let deadline = deadline(patience);
        let is_built = self.inner.shared.queue.wait(deadline);
        let sinks = self.inner.sinks.iter();
        // No short circuit: each of them is waited for.
        sinks.fold(is_built, |is_done, sink| sink.wait(deadline) && is_done)
    }

    /// Ends the recorder's threads, after the kept requests are written out. Requests that end later are
    /// counted, but those that should be kept are dropped. Returns `false` if that takes longer than
    /// `patience`; the threads then end later by themselves.
    ///
    /// For the end of `main`; dropping the last handle does it, too. In a process that was forked since,
    /// there are no threads to end or to wait for, and it returns `false`.
    pub fn shut_down(&self, patience: Duration) -> bool {
        self.inner.shut_down(patience)
    }
}

// Foreign code that panics is caught where it is called, and nothing is left half done.
impl UnwindSafe for Inner {}
impl RefUnwindSafe for Inner {}

/// Returns the moment after this time.
pub(crate) fn deadline(patience: Duration) -> Instant {
    let now = Instant::now();
    // A year, if the deadline is beyond what the clock can tell.
    let year = Duration::from_secs(365 * 24 * 60 * 60);
    now.checked_add(patience).unwrap_or(now + year)
}

impl Inner {
    fn shut_down(&self, patience: Duration) -> bool {
        if !self.threads.is_of_this_process() {
            // The handles must not even be dropped: they refer to threads of the parent process.
            if let Some(mut threads) = self.threads.take() {
                std::mem::forget(std::mem::take(&mut *threads));
            }
            return false;
        }
        let deadline = deadline(patience);
        // The recorder's thread closes the sinks' queues when it has handed over everything.
        self.shared.queue.close();
        self.sinks.iter().for_each(|sink| sink.end_by(deadline));
        let is_built = self.shared.queue.wait(deadline);
        let is_done =
            { self.sinks.iter() }.fold(is_built, |is_done, sink| sink.wait(deadline) && is_done);
        is_done && self.join(deadline)
    }

    /// Waits for the threads, which only have to drop what they own.
    fn join(&self, deadline: Instant) -> bool {
        loop {
            let Some(mut threads) = self.threads.take() else {
                return false;
            };
            // Panics in them are caught.
            threads.retain(|thread| !thread.is_finished());
            if threads.is_empty() {
                return true;
            }
            drop(threads);
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn is_one_of_its_threads(&self) -> bool {
        let mut sinks = self.sinks.iter();
        self.shared.queue.is_worked_here() || sinks.any(|sink| sink.queue.is_worked_here())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if self.is_one_of_its_threads() {
            // The last handle was dropped in a callback, which can't wait for itself.
            self.shared.queue.close();
        } else {
            self.shut_down(PATIENCE);
        }
    }
}

impl Clone for Recorder {
    fn clone(&self) -> Self {
        Self {
            inner: Own::new(Arc::clone(&self.inner)),
        }
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").finish_non_exhaustive()
    }
}
