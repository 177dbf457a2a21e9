//! A budget around a stretch of code, for tests. Its failure names the lines that allocated.

use std::panic::Location;
#[cfg(feature = "blocks")]
use std::time::Duration;

use alloc_counter::{Counts, measure};

use crate::store::trace::Trace;

use super::blocks::{Balance, Following, Left};
use super::exceeded::{Exceeded, Inside};
use super::sites::{self, recorded};

/// Limits on the allocations of a stretch of code. Figures without a limit are not checked; if a figure is limited
/// twice, the last limit counts.
///
/// Only the calling thread's allocations inside the closure count, so parallel tests do not disturb
/// each other. A future that the closure returns has not run yet: block on it inside. With
/// [`of_trace`](Self::of_trace) other threads and tasks count too, if they carry the trace along.
///
/// ```
/// # #[global_allocator] static A: tracer::Counting = tracer::Counting::system();
/// use tracer::alloc::Budget;
///
/// let parsed = Budget::new().allocations(1).peak_bytes(64).assert(|| {
///     "1,2,3".split(',').map(str::len).collect::<Vec<_>>()
/// });
/// assert_eq!(parsed, [1, 1, 1]);
/// ```
///
/// An exact budget also fails if less is allocated, so it never allows more than the code needs. The failure
/// has the new budget:
///
/// ```
/// # #[global_allocator] static A: tracer::Counting = tracer::Counting::system();
/// use tracer::alloc::Budget;
///
/// let exact = Budget::exactly(2).peak_bytes(100);
/// let failure = exact.check(|| std::hint::black_box(vec![0u8; 100])).unwrap_err();
/// let text = failure.to_string();
/// assert!(text.contains("allocations   exactly 2, but 1"));
/// assert!(text.contains("if that is intended: Budget::exactly(1).peak_bytes(100)"));
/// ```
///
/// With the feature `sites`, the text of a failure has the lines that allocated. Then each of the first 10,000
/// allocations takes a quarter of a microsecond more, or 6 µs if the crates `tracer-alloc-counter` and `framehop` are
/// compiled without optimisation; later ones have no lines.
///
/// [`alloc_counter::Budget`] is the same without the lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "a budget does nothing until it is checked or asserted"]
pub struct Budget {
    limits: alloc_counter::Budget,
    /// Whether it is of a trace, and not of the thread.
    is_of_trace: bool,
    balance: Balance,
}

impl Budget {
    /// Allows everything; the other methods set limits.
    pub const fn new() -> Self {
        Self {
            limits: alloc_counter::Budget::new(),
            is_of_trace: false,
            balance: Balance::NONE,
        }
    }

    const fn with(self, limits: alloc_counter::Budget) -> Self {
        Self { limits, ..self }
    }

    /// Allows no allocation at all. Freeing is allowed.
    pub const fn none() -> Self {
        Self::new().with(alloc_counter::Budget::none())
    }

    /// Allows any allocations, if the whole trace of the code frees all that it allocates: see
    /// [`of_trace`](Self::of_trace).
    ///
    /// With the feature `blocks`, each block is followed that a thread or task of the trace allocates or makes larger.
    /// Any thread may free it, so a runtime of several threads may free a task's own block behind the task. After the
    /// code, the budget waits until all are freed, 1 second at most unless `waits` says otherwise. A failure tells how
    /// many blocks are left, and their sizes.
    ///
    /// - Memory that is kept is not always lost: a cache that grows, a thread that a runtime starts for blocking work,
    ///   a thread-local that is used for the first time. Run the code once before, with the same runtime and in the
    ///   same `block_on`, or allow what it keeps by [`retained_bytes`](Self::retained_bytes), which compares sums.
    /// - What a library frees only when it gets to it is kept: crossbeam's epochs; tokio's I/O driver, which frees
    ///   what belongs to a socket, some 300 bytes, when it wakes for another reason. A runtime of one thread, as that
    ///   of `#[tokio::test]`, does so while the budget waits.
    /// - The returned value is kept. Memory of before may be freed; if it grows or is replaced, the new block is kept.
    /// - Of what comes to rayon from outside of its pool, each 63rd job brings a block of the pool's queue, which the
    ///   pool frees after 63 more. Inside of the pool, as by `install`, there are none.
    /// - Threads and tasks that don't carry the trace along are not in it. What they allocate is not followed.
    /// - If a block could not be followed, the budget is exceeded, and says that it can't tell: with more than
    ///   1,048,576 blocks alive, if memory for them runs out, if more than 128 such budgets run at once or 16 are
    ///   inside one another, or beyond the [limits](crate::Limits) of a trace.
    ///
    /// Cost of the feature: some instructions for each operation of the allocator; while such a budget runs, on all
    /// threads of the process, about 0.1 µs for each, or 2 µs if `tracer-alloc-counter` is compiled without
    /// optimisation. So enable it for tests only: as a feature of the dev-dependency.
    ///
    /// Without the feature, the budget compares sums: the bytes that the trace frees must be as many as it allocates.
    /// So what others free counts as kept, such as the block of a task on a runtime of several threads, and memory of
    /// before that is freed hides as many bytes that are kept.
    ///
    /// ```
    /// # #[global_allocator] static A: tracer::Counting = tracer::Counting::system();
    /// use std::sync::Mutex;
    ///
    /// use tracer::alloc::Budget;
    ///
    /// static CACHE: Mutex<Vec<String>> = Mutex::new(Vec::new());
    ///
    /// let length = Budget::balanced().assert(|| "x".repeat(1024).len());
    /// let failure = Budget::balanced().check(|| CACHE.lock().unwrap().push("x".repeat(length)));
    /// // The text, and room for four in the cache.
    /// assert_eq!(failure.unwrap_err().brief(), "kept bytes 1120, exactly 0");
    /// ```
    pub const fn balanced() -> Self {
        let limits = alloc_counter::Budget::balanced();
        Self {
            limits,
            is_of_trace: true,
            balance: Balance::EXACT,
        }
    }

    /// Allows this number of allocations and reallocations, and neither more nor fewer.
    ///
    /// Meant for code that does the same in every run. The other figures are limited by the other methods.
    pub const fn exactly(allocations: u64) -> Self {
        Self::new().with(alloc_counter::Budget::exactly(allocations))
    }

    /// Allows at most `most` requests that obtain memory: allocations and reallocations.
    pub const fn allocations(self, most: u64) -> Self {
        self.with(self.limits.allocations(most))
    }

    /// Allows at most `most` bytes allocated in total, including growth by reallocations; bytes freed in
    /// between are not subtracted.
    pub const fn bytes(self, most: u64) -> Self {
        self.with(self.limits.bytes(most))
    }

    /// Allows live bytes to rise at most `most` above those at the start.
    pub const fn peak_bytes(self, most: u64) -> Self {
        self.with(self.limits.peak_bytes(most))
    }

    /// Allows this number of requests that obtain memory, and neither more nor fewer.
    pub const fn exact_allocations(self, exactly: u64) -> Self {
        self.with(self.limits.exact_allocations(exactly))
    }

    /// Allows this number of bytes allocated in total, and neither more nor fewer. It may change with the
    /// version of the compiler, and is different on other platforms.
    pub const fn exact_bytes(self, exactly: u64) -> Self {
        self.with(self.limits.exact_bytes(exactly))
    }

    /// Allows live bytes to rise by this number above those at the start, and neither further nor less far.
    /// It may change with the version of the compiler, and is different on other platforms.
    pub const fn exact_peak_bytes(self, exactly: u64) -> Self {
        self.with(self.limits.exact_peak_bytes(exactly))
    }

    /// Allows at most `most` bytes that are allocated and not freed. Memory from before that the code frees is
    /// subtracted.
    pub const fn retained_bytes(self, most: u64) -> Self {
        self.by_sums().with(self.limits.retained_bytes(most))
    }

    /// Allows this number of bytes that are allocated and not freed, and neither more nor fewer. It may change with
    /// the version of the compiler, and is different on other platforms.
    pub const fn exact_retained_bytes(self, exactly: u64) -> Self {
        self.by_sums()
            .with(self.limits.exact_retained_bytes(exactly))
    }

    const fn by_sums(self) -> Self {
        Self {
            balance: Balance::NONE,
            ..self
        }
    }

    /// Sets how long a [balanced](Self::balanced) budget waits, after its code, until all is freed; 1 second by
    /// default. It waits no longer than needed. Other budgets don't wait.
    ///
    /// [`check_future`](Self::check_future) doesn't block its thread meanwhile: the executor polls other tasks.
    ///
    /// ```
    /// # #[global_allocator] static A: tracer::Counting = tracer::Counting::system();
    /// use std::thread;
    /// use std::time::Duration;
    ///
    /// use tracer::alloc::Budget;
    ///
    /// let (blocks, received) = std::sync::mpsc::sync_channel::<Vec<u8>>(1);
    /// let frees = thread::spawn(move || drop(received.recv()));
    /// let budget = Budget::balanced().waits(Duration::from_secs(10));
    /// budget.assert(|| blocks.send(vec![0; 100]).unwrap());
    ///
    /// let failure = Budget::balanced().waits(Duration::ZERO).check(|| std::mem::forget(vec![0; 100]));
    /// let kept = failure.unwrap_err().kept().unwrap();
    /// assert_eq!((kept.blocks, kept.bytes), (1, 400));
    /// # frees.join().unwrap();
    /// ```
    #[cfg(feature = "blocks")]
    pub const fn waits(self, at_most: Duration) -> Self {
        Self {
            balance: self.balance.waits(at_most),
            ..self
        }
    }

    /// Counts what the code does in a trace of its own, instead of what it does on its thread.
    ///
    /// Other threads and tasks count if they carry the trace along, as
    /// [`in_current_trace`](crate::in_current_trace) and spans of `tracing` do, and as far as they have come when
    /// the code ends: wait for them in it. Within the trace's [limits](crate::Limits), the figures are exact; beyond
    /// that of its strands they are not known, and a limit on them is exceeded.
    ///
    /// A failure has the tree of the calls instead of lines; with the feature `sites`, the lines are in the tree.
    /// A peak over several threads is not known, so a limit on it is exceeded. If a trace is current, its reports
    /// lack the calls of the code, which are in the other one.
    ///
    /// ```
    /// # #[global_allocator] static A: tracer::Counting = tracer::Counting::system();
    /// use tracer::alloc::Budget;
    /// use tracer::in_current_trace;
    ///
    /// fn parse(texts: &[&str; 2]) {
    ///     std::thread::scope(|threads| {
    ///         for text in texts {
    ///             threads.spawn(in_current_trace(move || std::hint::black_box(text.to_uppercase())));
    ///         }
    ///     });
    /// }
    ///
    /// let failure = Budget::new().bytes(0).of_trace().check(|| parse(&["one", "two"])).unwrap_err();
    /// assert!(failure.counts().unwrap().bytes_allocated > 6);
    /// ```
    pub const fn of_trace(self) -> Self {
        Self {
            is_of_trace: true,
            ..self
        }
    }

    /// Runs `work` and returns its value; panics if the budget was exceeded.
    ///
    /// # Panics
    ///
    /// Panics with the text of [`Exceeded`] if the budget was exceeded or nothing is counted.
    #[track_caller]
    pub fn assert<T>(self, work: impl FnOnce() -> T) -> T {
        match self.check(work) {
            Ok(value) => value,
            Err(exceeded) => panic!("{exceeded}"),
        }
    }

    /// Runs `work` and returns its value, or by how much the budget was exceeded.
    ///
    /// # Errors
    ///
    /// Returns [`Exceeded`] if more was allocated than allowed, if less was allocated than an exact limit, or
    /// if nothing is counted: such a budget could never fail.
    #[track_caller]
    pub fn check<T>(self, work: impl FnOnce() -> T) -> Result<T, Exceeded> {
        let place = Location::caller();
        if self.is_of_trace {
            let trace = sites::new_trace();
            let following = self.balance.follow(&trace);
            let scope = trace.inject();
            let value = work();
            drop(scope);
            following.wait();
            let judged = self.judge_trace(place, &trace, &following);
            return judged.map(|()| value);
        }
        let measured = measure(|| recorded(work));
        let (value, lines) = measured.value;
        match self.judge(place, measured.counts, measured.peak_bytes) {
            Ok(()) => Ok(value),
            Err(figures) => {
                let inside = Inside::Thread(lines);
                Err(Exceeded::new(figures, Left::UNKNOWN, inside))
            }
        }
    }

    /// Polls `future` in a trace of its own, and returns its value; panics if the budget was exceeded by the trace,
    /// as with [`of_trace`](Self::of_trace).
    ///
    /// # Panics
    ///
    /// Panics with the text of [`Exceeded`] if the budget was exceeded or nothing is counted.
    #[track_caller]
    pub fn assert_future<F: Future>(self, future: F) -> impl Future<Output = F::Output> {
        let checked = self.check_future(future);
        async {
            match checked.await {
                Ok(value) => value,
                Err(exceeded) => panic!("{exceeded}"),
            }
        }
    }

    /// Polls `future` in a trace of its own, and returns its value, or by how much the trace exceeded the budget,
    /// as with [`of_trace`](Self::of_trace).
    ///
    /// # Errors
    ///
    /// Those of [`check`](Self::check).
    ///
    /// ```
    /// # #[global_allocator] static A: tracer::Counting = tracer::Counting::system();
    /// use tracer::InCurrentTrace;
    /// use tracer::alloc::Budget;
    ///
    /// # let runtime = tokio::runtime::Runtime::new().unwrap();
    /// # runtime.block_on(async {
    /// let length = Budget::balanced().assert_future(async {
    ///     let task = async { "x".repeat(1024) };
    ///     tokio::spawn(task.in_current_trace()).await.unwrap().len()
    /// });
    /// assert_eq!(length.await, 1024);
    /// # });
    /// ```
    #[track_caller]
    pub fn check_future<F: Future>(
        self,
        future: F,
    ) -> impl Future<Output = Result<F::Output, Exceeded>> {
        let place = Location::caller();
        async move {
            let trace = sites::new_trace();
            let following = self.balance.follow(&trace);
            let value = trace.instrument(future).await;
            following.settled().await;
            let judged = self.judge_trace(place, &trace, &following);
            judged.map(|()| value)
        }
    }

    fn judge_trace(
        self,
        place: &'static Location<'static>,
        trace: &Trace,
        following: &Following,
    ) -> Result<(), Exceeded> {
        let left = following.left();
        let judged = if trace.has_all_strands() {
            left.judge(self.limits, place, trace.total())
        } else {
            self.limits.judge_part(place, trace.total())
        };
        judged.map_err(|figures| {
            // The caller frees it, so it is the program's.
            let inside = Inside::Trace(Box::new(trace.report()));
            Exceeded::new(figures, left, inside)
        })
    }

    /// Checks figures that were measured by other means.
    #[inline]
    pub(super) fn judge(
        self,
        place: &'static Location<'static>,
        counts: Option<Counts>,
        peak_bytes: Option<u64>,
    ) -> Result<(), alloc_counter::Exceeded> {
        self.limits.judge(place, counts, peak_bytes)
    }
}
