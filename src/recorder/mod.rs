//! The flight recorder: every request is traced, and at its end it is decided whether it is worth
//! keeping.
//!
//! A [`Recorder`] begins a trace for each request. When the request is over, however it ended, its
//! figures go into the [baseline](Compared) of its name, and a [`Policy`] says whether it is kept.
//! Of what is not kept no report is built. What is kept is compared with what is usual, on a thread
//! of the recorder's, and goes to its sinks: into a bounded ring in memory, and, where they are
//! wanted, into a file of JSON lines and to a callback.
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
//! # What it costs
//!
//! On the request's thread: some 600 instructions for each call, once, at the end, under a lock for which
//! other requests seldom contend, and who reads never. No allocation, if nothing is kept. In memory: what
//! [`memory_bytes`](Builder::memory_bytes) says, 16 MiB unless told otherwise, and the records of the
//! traces that are not over.
//!
//! # What is counted
//!
//! Every request that began has ended or is in flight, and every one that ended was kept, not kept
//! or dropped: [`Statistics`] adds up exactly. A request is [dropped](Statistics::dropped) if the policy
//! would have kept it, but there was no room or no memory for it. What happened to a kept one at each sink is
//! counted there.

mod baseline;
mod bounded;
mod builder;
mod bytes;
mod compare;
mod dump;
mod file;
mod file_lock;
mod finished;
mod id;
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

use process_lock::ProcessLock;
use shared::Shared;
use sinks::Sink;

#[cfg(feature = "tower")]
pub(crate) use bounded::bounded;
pub use builder::{Builder, StartError};
pub use dump::RequestInFlight;
pub use file::Rotation;
#[cfg(feature = "tower")]
pub(crate) use id::Id;
pub use policy::{Ended, Policy, Reason};
pub use recording::{Recorded, Recording};
pub use sinks::SinkStatistics;
pub use statistics::{RouteStatistics, Statistics};

/// So many kept requests wait for one thread.
const MOST_WAITING: usize = 1024;
/// How long a recorder that is dropped waits for its sinks.
const PATIENCE: Duration = Duration::from_secs(5);

/// Begins the traces of requests, and keeps those that matter: see the [module](self).
///
/// A handle: it clones cheaply. When the last one is gone, what was kept is written out, for which at
/// most five seconds are waited; what ends later is [dropped](Statistics::dropped).
#[doc(alias = "tail sampling")]
pub struct Recorder {
    inner: Own<Arc<Inner>>,
}

struct Inner {
    shared: Arc<Shared>,
    sinks: Arc<[Arc<Sink>]>,
    /// A forked process has none of them.
    threads: ProcessLock<Vec<JoinHandle<()>>>,
}

impl Recorder {
    /// A recorder with the [default policy](Policy), 16 MiB of memory, and no other sinks, where
    /// nothing else is said.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Begins to record a request of this name: its route, its kind of job. Requests of one name are
    /// compared with each other, so what tells them apart belongs into the [id](Recording::id). A name
    /// that is known later only is given by [`Recording::name`].
    ///
    /// Cost: a fraction of a microsecond.
    pub fn begin(&self, name: &str) -> Recording {
        Recording::begin(&self.inner.shared, name, None)
    }

    #[cfg(feature = "tower")]
    pub(crate) fn begin_with_id(&self, name: &str, id: Id) -> Recording {
        Recording::begin(&self.inner.shared, name, Some(id))
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

    /// The kept requests that are in memory, the last that was kept first.
    ///
    /// A request that has just ended comes here when its report is built: [`flush`](Self::flush)
    /// waits for that.
    pub fn kept(&self) -> Vec<Arc<Report>> {
        self.inner
            .shared
            .ring(|ring| ring.reports())
            .unwrap_or_default()
    }

    /// The kept request with this [trace](Report::trace), where it is in memory.
    pub fn get(&self, trace: u64) -> Option<Arc<Report>> {
        self.inner.shared.ring(|ring| ring.get(trace))?
    }

    /// Waits until all requests that have ended are where they are to be: in memory, and at every
    /// sink. `false` where that takes longer than `patience`, and at once where it would wait for
    /// itself, in a callback.
    pub fn flush(&self, patience: Duration) -> bool {
        let deadline = deadline(patience);
        let is_built = self.inner.shared.queue.wait(deadline);
        let sinks = self.inner.sinks.iter();
        // Each of them is waited for.
        sinks.fold(is_built, |is_done, sink| {
            sink.queue.wait(deadline) && is_done
        })
    }

    /// Ends the recorder's threads, after what was kept is written out. What ends later is counted,
    /// but what should be kept of it is dropped. `false` where that takes longer than `patience`:
    /// then they end later, by themselves.
    ///
    /// For the end of `main`; dropping the last handle does it, too. In a process that was forked since,
    /// there is nothing to be ended, nor to be waited for.
    pub fn shut_down(&self, patience: Duration) -> bool {
        self.inner.shut_down(patience)
    }
}

// Foreign code that panics is caught where it is called, and nothing is left half done.
impl UnwindSafe for Inner {}
impl RefUnwindSafe for Inner {}

fn deadline(patience: Duration) -> Instant {
    let now = Instant::now();
    // Where it is beyond what the clock can tell: a year.
    let year = Duration::from_secs(365 * 24 * 60 * 60);
    now.checked_add(patience).unwrap_or(now + year)
}

impl Inner {
    fn shut_down(&self, patience: Duration) -> bool {
        if !self.threads.is_of_this_process() {
            // They are not even to be dropped: what a thread's handle refers to is its parent's.
            if let Some(mut threads) = self.threads.take() {
                std::mem::forget(std::mem::take(&mut *threads));
            }
            return false;
        }
        let deadline = deadline(patience);
        // The recorder's thread closes the sinks' queues, when there is nothing left to bring.
        self.shared.queue.close();
        let queues = { self.sinks.iter() }.map(|sink| &sink.queue);
        let is_done = queues.fold(self.shared.queue.wait(deadline), |is_done, queue| {
            queue.wait(deadline) && is_done
        });
        is_done && self.join(deadline)
    }

    /// Waits for the threads, which have nothing left to do but to drop what they have.
    fn join(&self, deadline: Instant) -> bool {
        loop {
            let Some(mut threads) = self.threads.take() else {
                return false;
            };
            // What panics in them is caught.
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
            // In a callback, which can't wait for itself.
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
