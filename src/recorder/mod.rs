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
//! On the request's thread: some 50 ns for each call, once, at the end, under a lock for which other
//! requests seldom contend, and who reads never. No allocation, where nothing is kept. In memory: what
//! [`memory_bytes`](Builder::memory_bytes) says, 16 MiB unless told otherwise, and the records of the
//! traces that are not over.
//!
//! # What is counted
//!
//! Every request that began has ended or is in flight, and every one that ended was kept, not kept
//! or dropped: [`Statistics`] adds up exactly. Dropped is what the policy would have kept, but came
//! faster than reports can be built. What happened to a kept one at each sink is counted there.

mod baseline;
mod bounded;
mod bytes;
mod compare;
mod dump;
mod file;
mod finished;
mod policy;
mod process_lock;
mod queue;
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
mod worker;

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::clock;
use crate::limits::Limits;
use crate::own::Own;
#[cfg(doc)]
use crate::report::Compared;
use crate::report::Report;
use crate::report::duration::nanoseconds;

use file::ReportFile;
use process_lock::ProcessLock;
use shared::Shared;
use sinks::{Sink, Sinks, Taker};

#[cfg(feature = "tower")]
pub(crate) use bounded::bounded;
pub use dump::RequestInFlight;
pub use file::Rotation;
pub use policy::{Ended, Policy, Reason};
pub use recording::{Recorded, Recording};
pub use sinks::SinkStatistics;
pub use statistics::{RouteStatistics, Statistics};

/// So many kept requests wait for one thread.
const MOST_WAITING: usize = 1024;
/// Less is not enough for anything.
const LEAST_BYTES: usize = 64 << 10;
/// How long a recorder that is dropped waits for its sinks.
const PATIENCE: Duration = Duration::from_secs(5);

/// Begins the traces of requests, and keeps those that matter: see the [module](self).
///
/// A handle: it clones cheaply. When the last one is gone, what was kept is written out, for which at
/// most five seconds are waited; what ends later is [dropped](Statistics::dropped).
pub struct Recorder {
    inner: Own<Arc<Inner>>,
}

/// A recorder to be: see [`Recorder::builder`].
#[must_use = "a recorder has to be started"]
pub struct Builder {
    policy: Policy,
    memory_bytes: usize,
    names: usize,
    window: Duration,
    capacity: usize,
    limits: Limits,
    file: Option<(PathBuf, Rotation)>,
    callbacks: Vec<(String, Taker)>,
}

struct Inner {
    shared: Arc<Shared>,
    sinks: Arc<[Arc<Sink>]>,
    /// A forked process has none of them.
    threads: ProcessLock<Vec<JoinHandle<()>>>,
}

/// Why a recorder could not be started: a file that can't be written, or no thread to be had.
#[derive(Debug)]
pub struct StartError {
    what: String,
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.source)
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.source)
    }
}

impl Recorder {
    /// A recorder with the [default policy](Policy), 16 MiB of memory, and no other sinks, where
    /// nothing else is said.
    pub fn builder() -> Builder {
        Builder {
            policy: Policy::default(),
            memory_bytes: 16 << 20,
            names: 256,
            window: Duration::from_mins(5),
            capacity: 10,
            limits: Limits::default(),
            file: None,
            callbacks: Vec::new(),
        }
    }

    /// Begins to record a request of this name: its route, its kind of job. Requests of one name are
    /// compared with each other, so what tells them apart belongs into the [id](Recording::id).
    ///
    /// Cost: some 150 ns.
    pub fn begin(&self, name: &str) -> Recording {
        Recording::begin(&self.inner.shared, name, None)
    }

    #[cfg(feature = "tower")]
    pub(crate) fn begin_with_id(&self, name: &str, id: Arc<str>) -> Recording {
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
    let year = Duration::from_hours(365 * 24);
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

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("policy", &self.policy)
            .field("memory_bytes", &self.memory_bytes)
            .finish_non_exhaustive()
    }
}

impl Builder {
    /// Which requests are kept.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// The memory of the recorder, 16 MiB unless told otherwise, and 64 KiB at least: three eighths of
    /// it for kept reports, two for names and what is usual of each, one for requests whose reports
    /// are to be built, one for reports on their way to the sinks, and one for the report that is being
    /// built or written. (A single one that is larger is built all the same.)
    pub fn memory_bytes(mut self, bytes: usize) -> Self {
        self.memory_bytes = bytes;
        self
    }

    /// How many names there may be, 256 unless told otherwise, and no more than there is
    /// [memory](Self::memory_bytes) for. The requests of all others are those of the name `(other)`.
    pub fn names(mut self, names: usize) -> Self {
        self.names = names;
        self
    }

    /// How long what is usual counts: what ended in the present window and in the one before. Five
    /// minutes unless told otherwise, and one millisecond at least.
    pub fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// For how many calls each trace has room beforehand, and its [limits](crate::Limits): as
    /// [`Trace::with_limits`](crate::Trace::with_limits).
    pub fn trace(mut self, capacity: usize, limits: Limits) -> Self {
        self.capacity = capacity;
        self.limits = limits;
        self
    }

    /// Writes kept reports to this file, a line of [JSON](crate::report::json) each, for the command
    /// `tracer` and its kin. An existing file is continued; half a line at its end, which a process
    /// left that was killed, is cut off.
    ///
    /// Where it can't be written while the recorder runs, because the disk is full, the report is
    /// counted as [failed](SinkStatistics::failed), no part of it stays, and the next one is tried
    /// again.
    pub fn file(mut self, path: impl Into<PathBuf>, rotation: Rotation) -> Self {
        self.file = Some((path.into(), rotation));
        self
    }

    /// Hands kept reports to `callback`, on a thread of its own. It may take its time, while others
    /// wait in a bounded queue; beyond that they are [dropped](SinkStatistics::dropped). Where it
    /// panics, that is counted as [failed](SinkStatistics::failed).
    pub fn callback(
        mut self,
        name: impl Into<String>,
        mut callback: impl FnMut(&Arc<Report>) + Send + 'static,
    ) -> Self {
        let take = move |report: &Arc<Report>| {
            callback(report);
            Ok(())
        };
        self.callbacks.push((name.into(), Box::new(take)));
        self
    }

    /// Starts it. The first time in a process this takes as long as the first
    /// [trace](crate::Trace::new): it makes the clock ready.
    ///
    /// # Errors
    ///
    /// Where the file can't be opened, or a thread not be started.
    pub fn start(self) -> Result<Recorder, StartError> {
        alloc_counter::exclude(|| self.start_excluded())
    }

    fn start_excluded(self) -> Result<Recorder, StartError> {
        // Not while the first request waits.
        clock::warm_up();
        let mut takers = self.callbacks;
        if let Some((path, rotation)) = self.file {
            let mut file = ReportFile::open(&path, rotation).map_err(|error| StartError {
                what: "the file for kept reports".to_owned(),
                source: Box::new(error),
            })?;
            let take: Taker = Box::new(move |report| {
                let written = alloc_counter::exclude(|| file.write(report));
                written.map_err(|error| error.to_string())
            });
            takers.insert(0, (path.display().to_string(), take));
        }
        let memory = self.memory_bytes.max(LEAST_BYTES);
        let no_thread = |error| StartError {
            what: "a thread of the recorder's".to_owned(),
            source: Box::new(error),
        };
        let for_each = memory / 8 / takers.len().max(1);
        let shared = Arc::new(Shared::new(
            self.policy,
            (self.capacity, self.limits),
            nanoseconds(self.window.max(Duration::from_millis(1))),
            self.names,
            (memory / 8 * 3, memory / 8, memory / 4),
        ));
        let (mut sinks, mut threads) = (Sinks::default(), Vec::new());
        for (name, take) in takers {
            let (sink, thread) = Sink::start(name, for_each, take).map_err(no_thread)?;
            sinks.0.push(sink);
            threads.push(thread);
        }
        let all: Arc<[_]> = sinks.0.as_slice().into();
        threads.push(worker::start(&shared, sinks).map_err(no_thread)?);
        Ok(Recorder {
            inner: Own::new(Arc::new(Inner {
                shared,
                sinks: all,
                threads: ProcessLock::new(threads),
            })),
        })
    }
}
