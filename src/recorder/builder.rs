//! The settings of a recorder, and its start.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "sites")]
use alloc_counter::Sites;

use crate::primitives::clock;
use crate::primitives::excluded::Own;
use crate::report::Report;
use crate::report::duration::nanoseconds;
use crate::store::limits::Limits;
use crate::store::trace::Trace;
use crate::store::trace_builder::TraceBuilder;

#[cfg(feature = "sites")]
use super::arming::Arming;
use super::bytes::bytes_of;
use super::file::{ReportFile, Rotation};
use super::policy::Policy;
use super::process_lock::ProcessLock;
use super::shared::Shared;
#[cfg(feature = "otlp")]
use super::sinks::Attach;
#[cfg(doc)]
use super::sinks::SinkStatistics;
use super::sinks::{NewSink, Sink, SinkCounts, Sinks, Taken, Taker};
use super::worker::has_memory;
use super::{Inner, Recorder, worker};

/// With less memory nothing could be kept.
const LEAST_BYTES: usize = 64 << 10;

/// Builder of a [`Recorder`]: see [`Recorder::builder`].
#[must_use = "a builder records nothing: call `start`"]
pub struct Builder {
    policy: Policy,
    memory_bytes: usize,
    names: usize,
    window: Duration,
    traces: TraceBuilder,
    #[cfg(feature = "sites")]
    arming: Arming,
    file: Option<(PathBuf, Rotation)>,
    callbacks: Vec<(String, Taker)>,
    #[cfg(feature = "otlp")]
    attached: Own<Vec<Box<dyn Attach>>>,
}

/// Why a recorder could not be started: its file can't be written or belongs to another recorder, or a
/// thread could not be spawned.
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
    /// Returns the source of the cause: the message contains the cause itself.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.source()
    }
}

impl Builder {
    pub(super) fn new() -> Self {
        Self {
            policy: Policy::default(),
            memory_bytes: 16 << 20,
            names: 256,
            window: Duration::from_secs(5 * 60),
            traces: Trace::builder(),
            #[cfg(feature = "sites")]
            arming: Arming::by_hand(),
            file: None,
            callbacks: Vec::new(),
            #[cfg(feature = "otlp")]
            attached: Own::new(Vec::new()),
        }
    }

    /// Sets which requests are kept.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Sets the memory of the recorder: 16 MiB by default, and 64 KiB at least. Five sixteenths of it hold
    /// kept reports, one sixteenth [typical](Recorder::typical) ones, two eighths names with their baselines and
    /// [minutes](Recorder::minutes), one eighth requests whose reports are to be built, one eighth reports on their
    /// way to the sinks, and one eighth the report that is being built or written. A single report that is larger
    /// is built nevertheless. Whatever the memory, at most 1,024 requests and 1,024 reports wait: further ones are not
    /// kept, and are [counted](crate::recorder::Statistics::dropped).
    pub fn memory_bytes(mut self, bytes: usize) -> Self {
        self.memory_bytes = bytes;
        self
    }

    /// Sets how many names there may be: 256 by default, and at most as many as fit in the
    /// [memory](Self::memory_bytes). Requests of further names are counted under the name `(other)`.
    pub fn names(mut self, names: usize) -> Self {
        self.names = names;
        self
    }

    /// Sets the length of a baseline's window: five minutes by default, and one millisecond at least. A
    /// baseline covers the requests that ended in the present window and in the one before.
    pub fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// Sets for how many calls each trace allocates in advance, and its [limits](crate::Limits), as
    /// [`Trace::with_limits`](crate::Trace::with_limits) does.
    pub fn trace(mut self, capacity: usize, limits: Limits) -> Self {
        self.traces = self.traces.capacity(capacity).limits(limits);
        self
    }

    /// Records the lines that allocate in each request, as [`TraceBuilder::sites`] does. Kept reports have them
    /// [looked up](Report::resolved), on the recorder's thread.
    ///
    /// With sampled sites this is made for production. Cost: some 200 instructions for a request, whatever it
    /// allocates, and a walk of the stack for a sample; and for the first kept report some 100 ms and 40 MB beyond the
    /// recorder's [memory](Self::memory_bytes), which are given back.
    ///
    /// ```
    /// use tracer::alloc::Sites;
    /// use tracer::recorder::Recorder;
    ///
    /// let recorder = Recorder::builder().sites(Sites::sampled(512 << 10)).start()?;
    /// # Ok::<(), tracer::recorder::StartError>(())
    /// ```
    #[cfg(feature = "sites")]
    pub fn sites(mut self, sites: Sites) -> Self {
        self.traces = self.traces.sites(sites);
        self
    }

    /// Arms a route if one of its requests allocates more than usual: its next requests record which lines
    /// allocate. See [`Arming`] for the limits and the cost.
    ///
    /// [By hand](Arming::by_hand) by default: features of a crate are those that any crate in the program asks
    /// for, and looking lines up takes memory, at a moment when there may be little. So it is for the program
    /// to say.
    ///
    /// ```
    /// use tracer::recorder::{Arming, Recorder};
    ///
    /// let recorder = Recorder::builder().arm(Arming::default()).start()?;
    /// # Ok::<(), tracer::recorder::StartError>(())
    /// ```
    #[cfg(feature = "sites")]
    pub fn arm(mut self, arming: Arming) -> Self {
        self.arming = arming;
        self
    }

    /// Sets whether requests that continue no trace are sent to other services as sampled; `false` by default, since
    /// it is decided at a request's end whether it is kept. Others follow the flag: a service with OpenTelemetry and
    /// its default sampler records only what is sampled, and one with this crate and
    /// [`sampled_upstream`](Policy::sampled_upstream) keeps all of that.
    ///
    /// ```
    /// use tracer::propagation::TraceContext;
    /// use tracer::recorder::Recorder;
    ///
    /// let recorder = Recorder::builder().sampled(true).start()?;
    /// let context = recorder.record("job", TraceContext::current);
    /// assert!(context.unwrap().is_sampled());
    /// # Ok::<(), tracer::recorder::StartError>(())
    /// ```
    #[cfg(feature = "propagation")]
    pub fn sampled(mut self, is_sampled: bool) -> Self {
        self.traces = self.traces.sampled(is_sampled);
        self
    }

    /// Writes kept reports to this file, one line of [JSON](crate::report::json) each, for the command
    /// `tracer`. An existing file is continued. An incomplete line at its end, left by a process that
    /// was killed, is cut off.
    ///
    /// If the file can't be written while the recorder runs, because the disk is full or the file would
    /// exceed the process's limit (`ulimit -f`), the report is counted as
    /// [failed](SinkStatistics::failed), no part of it stays in the file, and the next report is tried
    /// again. A file that others delete or move is [created again](SinkStatistics::reopened) before the
    /// next report is written; a file that others cut is continued at its end.
    ///
    /// Only one recorder of all processes writes to a file at a time. While it does, there is an empty
    /// file beside it, with `.lock` appended to its name. On Unix the lock ends with the process, and a
    /// forked child does not inherit it. In a directory in which the process can't create files, the
    /// file itself is locked. It is not rotated then, and if the process itself opens and closes the
    /// file, as a search on the page does, the lock is lost until the next report is written. A pipe or a device is neither rotated
    /// nor locked.
    pub fn file(mut self, path: impl Into<PathBuf>, rotation: Rotation) -> Self {
        self.file = Some((path.into(), rotation));
        self
    }

    /// Hands kept reports to `callback`, on a thread of its own. It may be slow: further reports wait in
    /// a bounded queue, and beyond that they are [dropped](SinkStatistics::dropped). A panic in it is
    /// counted as [failed](SinkStatistics::failed).
    pub fn callback(
        mut self,
        name: impl Into<String>,
        mut callback: impl FnMut(&Arc<Report>) + Send + 'static,
    ) -> Self {
        let take = move |report: &Arc<Report>| {
            callback(report);
            Ok(Taken::Now)
        };
        self.callbacks.push((name.into(), Box::new(take)));
        self
    }

    /// Hands kept reports to a sink of another module.
    #[cfg(feature = "otlp")]
    pub(crate) fn attach(mut self, sink: impl Attach + 'static) -> Self {
        alloc_counter::exclude(|| self.attached.push(Box::new(sink)));
        self
    }

    /// Starts the recorder. The first start in a process takes as long as the first
    /// [trace](crate::Trace::new), since it calibrates the clock.
    ///
    /// # Errors
    ///
    /// Returns an error if the file can't be opened or belongs to another recorder, or if a thread can't
    /// be spawned.
    pub fn start(mut self) -> Result<Recorder, StartError> {
        // The program's memory: copied, and freed as the program's.
        let (file, callbacks) = (self.file.take(), std::mem::take(&mut self.callbacks));
        let (titles, mut takers): (Vec<_>, Vec<_>) = callbacks.into_iter().unzip();
        let file = file.as_ref().map(|(path, rotation)| (&**path, *rotation));
        alloc_counter::exclude(|| self.start_excluded(file, &titles, &mut takers))
    }

    #[cfg_attr(
        not(feature = "otlp"),
        expect(unused_mut, reason = "for the feature `otlp`")
    )]
    fn start_excluded(
        mut self,
        file: Option<(&Path, Rotation)>,
        titles: &[String],
        takers: &mut Vec<Taker>,
    ) -> Result<Recorder, StartError> {
        // Now, so that the first request does not wait for it.
        clock::warm_up();
        #[cfg(feature = "sites")]
        if self.arming.is_automatic() {
            Arming::warm_up();
        }
        let callbacks = titles.iter().cloned().zip(takers.drain(..));
        let mut new: Vec<_> = callbacks
            .map(|(name, take)| NewSink {
                name,
                take,
                counts: SinkCounts::new(Arc::default()),
                later: None,
            })
            .collect();
        #[cfg(feature = "web")]
        let mut files = None;
        if let Some((path, rotation)) = file {
            let mut file = ReportFile::open(path, rotation).map_err(|error| StartError {
                what: "the file for kept reports".to_owned(),
                source: Box::new(error),
            })?;
            #[cfg(feature = "web")]
            files.replace(file.files());
            let reopened = file.reopened();
            let take: Taker = Box::new(move |report| {
                alloc_counter::exclude(|| {
                    // JSON takes more than the report.
                    if !has_memory(bytes_of(report).saturating_mul(4)) {
                        return Err("no memory for the report as JSON".to_owned());
                    }
                    file.write(report).map_err(|error| error.to_string())?;
                    Ok(Taken::Now)
                })
            });
            let sink = NewSink {
                name: path.display().to_string(),
                take,
                counts: SinkCounts::new(reopened),
                later: None,
            };
            new.insert(0, sink);
        }
        let memory = self.memory_bytes.max(LEAST_BYTES);
        let no_thread = |error| StartError {
            what: "a thread of the recorder".to_owned(),
            source: Box::new(error),
        };
        let (mut sinks, mut threads) = (Sinks::default(), Vec::new());
        #[cfg(feature = "otlp")]
        for sink in self.attached.drain(..) {
            let (name, counts) = (sink.name(), SinkCounts::new(Arc::default()));
            let attached = sink.start(Arc::clone(&counts)).map_err(no_thread)?;
            threads.push(attached.thread);
            new.push(NewSink {
                name,
                take: attached.take,
                counts,
                later: Some(attached.later),
            });
        }
        let for_each = memory / 8 / new.len().max(1);
        let shared = Arc::new(Shared::new(
            self.policy,
            self.traces,
            nanoseconds(self.window.max(Duration::from_millis(1))),
            self.names,
            memory,
            #[cfg(feature = "sites")]
            self.arming,
        ));
        for sink in new {
            let (sink, thread) = Sink::start(sink, for_each).map_err(no_thread)?;
            sinks.0.push(sink);
            threads.push(thread);
        }
        let all: Arc<[_]> = sinks.0.as_slice().into();
        threads.push(worker::start(&shared, sinks).map_err(no_thread)?);
        Ok(Recorder {
            inner: Own::new(Arc::new(Inner {
                shared,
                sinks: all,
                #[cfg(feature = "web")]
                files,
                threads: ProcessLock::new(threads),
            })),
        })
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
