//! The cost that counting adds to an allocator, beside that of the peers.
//!
//! The allocators are called directly, because only one can be the global one, and they take turns in
//! one process. Each is called through its own functions that are not inlined, as the global allocator
//! is. The turns run on threads that live as long as the process, one or two of them at once, each on
//! its own core.
//!
//! `Counting`, `stats_alloc` and `divan` count whenever they are called; the others are shown idle
//! and at work. The first rival runs once more under another name. The difference between its two
//! figures shows how far any figure may be off.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::{black_box, spin_loop};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{AcqRel, Acquire};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use alloc_counter::Counting;
use crossbeam_queue::ArrayQueue;
use mimalloc::MiMalloc;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tracer_benches::Race;
use tracking_allocator::{AllocationGroupId, AllocationRegistry, AllocationTracker};

static COUNTING: Counting = Counting::system();
static MIMALLOC: MiMalloc = MiMalloc;
static COUNTING_MIMALLOC: Counting<MiMalloc> = Counting::new(MiMalloc);
static STATS: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;
static ALLOC_TRACKER: alloc_tracker::Allocator<System> = alloc_tracker::Allocator::system();
static TRACKING: tracking_allocator::Allocator<System> = tracking_allocator::Allocator::system();
static DIVAN: divan::AllocProfiler = divan::AllocProfiler::system();
static DHAT: dhat::Alloc = dhat::Alloc;

fn main() {
    AllocationRegistry::set_global_tracker(Nothing).expect("the first tracker");
    let crew = Crew::new(2);
    let script = Box::leak(Box::new(Script::new()));
    let own = Mix {
        script,
        exchanging: false,
    };
    let exchanging = Mix {
        script,
        exchanging: true,
    };
    over_system("alloc + free of 64 bytes, 1 thread", &crew, 1, Pair);
    over_system("alloc + free of 64 bytes, 2 threads", &crew, 2, Pair);
    over_system("a step with mixed sizes, 1 thread", &crew, 1, own);
    over_system("a step with mixed sizes, 2 threads", &crew, 2, own);
    over_system("the same, some freed by the other", &crew, 2, exchanging);
    over_mimalloc("mimalloc: 64 bytes, 1 thread", &crew, 1, Pair);
    over_mimalloc("mimalloc: 64 bytes, 2 threads", &crew, 2, Pair);
    over_mimalloc("mimalloc: mixed sizes, 1 thread", &crew, 1, own);
    over_mimalloc("mimalloc: mixed sizes, 2 threads", &crew, 2, own);
    over_mimalloc(
        "mimalloc: the same, some freed by the other",
        &crew,
        2,
        exchanging,
    );
}

// ---- The races ----

fn over_system(title: &str, crew: &Crew, threads: usize, work: impl Work) {
    let entry = Entry {
        crew,
        threads,
        work,
    };
    Race::new(title)
        .timed("System", entry.idle(&System))
        .timed("Counting", entry.idle(&COUNTING))
        .timed("stats_alloc", entry.idle(STATS))
        .timed("divan", entry.idle(&DIVAN))
        .timed("alloc_tracker", entry.idle(&ALLOC_TRACKER))
        .timed(
            "alloc_tracker, in a span",
            entry.at_work(&ALLOC_TRACKER, || {
                let session = alloc_tracker::Session::new().no_stdout().no_file();
                session.operation("turn").measure_process().iterations(1)
            }),
        )
        .timed("tracking-allocator, disabled", entry.idle(&TRACKING))
        .timed(
            "tracking-allocator, enabled",
            entry.at_work(&TRACKING, Enabled::new),
        )
        .timed("dhat, no profiler", entry.idle(&DHAT))
        .timed("System, once more", entry.idle(&System))
        .run();
    // In a separate race, because it changes the heap for the next rival.
    Race::new(&format!("{title}, and a profiler"))
        .timed("System", entry.idle(&System))
        .timed(
            "dhat, profiler running",
            entry.at_work(&DHAT, || dhat::Profiler::builder().testing().build()),
        )
        .run();
}

fn over_mimalloc(title: &str, crew: &Crew, threads: usize, work: impl Work) {
    let entry = Entry {
        crew,
        threads,
        work,
    };
    Race::new(title)
        .timed("mimalloc", entry.idle(&MIMALLOC))
        .timed("Counting over mimalloc", entry.idle(&COUNTING_MIMALLOC))
        .timed("mimalloc, once more", entry.idle(&MIMALLOC))
        .timed("System", entry.idle(&System))
        .run();
}

/// A tracker for `tracking-allocator` that does nothing.
struct Nothing;

impl AllocationTracker for Nothing {
    fn allocated(&self, _: usize, _: usize, _: usize, _: AllocationGroupId) {}
    fn deallocated(
        &self,
        _: usize,
        _: usize,
        _: usize,
        _: AllocationGroupId,
        _: AllocationGroupId,
    ) {
    }
}

/// Guard: while it lives, `tracking-allocator` reports.
struct Enabled;

impl Enabled {
    fn new() -> Self {
        AllocationRegistry::enable_tracking();
        Self
    }
}

impl Drop for Enabled {
    fn drop(&mut self) {
        AllocationRegistry::disable_tracking();
    }
}

/// The common parts of the rivals of one race.
struct Entry<'a, W> {
    crew: &'a Crew,
    threads: usize,
    work: W,
}

impl<W: Work> Entry<'_, W> {
    fn idle<A: GlobalAlloc + Sync>(
        &self,
        allocator: &'static A,
    ) -> impl FnMut(u64) -> Duration + use<'_, A, W> {
        self.at_work(allocator, || ())
    }

    /// The guard lives for the length of a turn.
    fn at_work<A: GlobalAlloc + Sync, G>(
        &self,
        allocator: &'static A,
        guard: fn() -> G,
    ) -> impl FnMut(u64) -> Duration + use<'_, A, G, W> {
        let exchange = Arc::new(Exchange::new(self.threads));
        let mut done = 0;
        move |times| {
            let _guard = guard();
            let (exchange, work, from) = (Arc::clone(&exchange), self.work, done);
            done += times;
            self.crew.run(self.threads, move |place| {
                work.run(allocator, &exchange, place, from, times)
            })
        }
    }
}

// ---- The work ----

/// The work of one thread in a turn.
trait Work: Copy + Send + Sync + 'static {
    /// Runs `times` steps from step `from` on, and returns their time.
    fn run<A: GlobalAlloc + Sync>(
        self,
        allocator: &'static A,
        exchange: &Exchange<A>,
        place: usize,
        from: u64,
        times: u64,
    ) -> Duration;
}

/// An allocation of 64 bytes and its free.
#[derive(Clone, Copy)]
struct Pair;

impl Work for Pair {
    fn run<A: GlobalAlloc + Sync>(
        self,
        allocator: &'static A,
        exchange: &Exchange<A>,
        _: usize,
        _: u64,
        times: u64,
    ) -> Duration {
        drop(Block::new(allocator, 64));
        exchange.meet();
        let start = Instant::now();
        for _ in 0..times {
            drop(Block::new(allocator, black_box(64)));
        }
        start.elapsed()
    }
}

/// Blocks of many sizes that live for different times.
///
/// Each step picks one of [`LIVE`] blocks at random. One step in eight doubles the block, or halves it
/// if it is large already. The others replace it: an allocation, a write to it, a free. If blocks are
/// exchanged, one step in 64 gives the old block to the other thread, and frees one that came from
/// there.
///
/// One in 64 is enough: the system's allocator keeps freed blocks for the thread that freed them, so
/// after a while the blocks of each thread lie in both arenas, and each waits for the other's lock.
#[derive(Clone, Copy)]
struct Mix {
    script: &'static Script,
    exchanging: bool,
}

const LIVE: usize = 512;
const LARGEST: usize = 64 * 1024;

impl Work for Mix {
    fn run<A: GlobalAlloc + Sync>(
        self,
        allocator: &'static A,
        exchange: &Exchange<A>,
        place: usize,
        from: u64,
        times: u64,
    ) -> Duration {
        let Script(steps) = self.script;
        let first = steps.iter().take(LIVE);
        let first = first.map(|step| Block::new(allocator, step.size));
        let mut live: Vec<_> = first.collect();
        let mut run = |from: u64, times: u64| {
            // Rivals whose turns have few steps go through the whole script as well.
            let from = usize::try_from(from).unwrap_or(0) % steps.len();
            let times = usize::try_from(times).unwrap_or(usize::MAX);
            exchange.meet();
            let start = Instant::now();
            for step in steps.iter().cycle().skip(from).take(times) {
                let block = &mut live[step.victim];
                match step.kind {
                    Kind::Exchange if self.exchanging => {
                        let old = std::mem::replace(block, Block::new(allocator, step.size));
                        drop(exchange.swap(place, old));
                    }
                    Kind::Resize => block.resize(),
                    _ => *block = Block::new(allocator, step.size),
                }
            }
            start.elapsed()
        };
        // Warms up this rival's memory after the others' turns.
        run(0, 2_048);
        let time = run(from, times);
        // From here no thread gives blocks.
        exchange.meet();
        exchange.empty(place);
        time
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Replace,
    Exchange,
    Resize,
}

struct Step {
    kind: Kind,
    victim: usize,
    size: usize,
}

/// The same steps for all rivals.
struct Script(Vec<Step>);

impl Script {
    fn new() -> Self {
        let mut state = 0x7261_6365_u64;
        let mut random = |below: u64| {
            // An xorshift.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from((state >> 16) % below).unwrap_or(0)
        };
        let step = |_| Step {
            kind: match random(64) {
                0 => Kind::Exchange,
                1..8 => Kind::Resize,
                _ => Kind::Replace,
            },
            victim: random(LIVE as u64),
            size: {
                // 8 to 65,536 in 13 doublings. The smaller of two numbers, so most blocks are small:
                // the median is some 100 bytes, the mean 3,000.
                let doublings = random(13).min(random(13));
                (8 << doublings) + random(8 << doublings)
            },
        };
        Self((0..8_192).map(step).collect())
    }
}

/// A meeting point where two threads give each other blocks.
struct Exchange<A: GlobalAlloc + Sync + 'static> {
    inboxes: Vec<ArrayQueue<Block<A>>>,
    arrived: AtomicUsize,
}

impl<A: GlobalAlloc + Sync + 'static> Exchange<A> {
    fn new(members: usize) -> Self {
        Self {
            inboxes: (0..members).map(|_| ArrayQueue::new(256)).collect(),
            arrived: AtomicUsize::new(0),
        }
    }

    /// Waits for the other threads by spinning.
    fn meet(&self) {
        let mine = self.arrived.fetch_add(1, AcqRel) + 1;
        let all = mine.next_multiple_of(self.inboxes.len());
        let mut patience = 10_000_u32;
        while self.arrived.load(Acquire) < all {
            if patience > 0 {
                patience -= 1;
                spin_loop();
            } else {
                thread::yield_now();
            }
        }
    }

    /// Gives the next thread a block and takes a block given to this one. If the next thread does
    /// not keep up, the block comes back.
    fn swap(&self, place: usize, block: Block<A>) -> Option<Block<A>> {
        let next = (place + 1) % self.inboxes.len();
        match self.inboxes[next].push(block) {
            Ok(()) => self.inboxes[place].pop(),
            Err(block) => Some(block),
        }
    }

    fn empty(&self, place: usize) {
        while self.inboxes[place].pop().is_some() {}
    }
}

// ---- The threads ----

type Job = Box<dyn FnOnce() -> Duration + Send>;

/// Threads that wait for work.
struct Crew {
    jobs: Vec<Sender<Job>>,
    times: Receiver<Duration>,
}

impl Crew {
    fn new(threads: usize) -> Self {
        let (done, times) = channel();
        let cores = core_affinity::get_core_ids().unwrap_or_default();
        let jobs = (0..threads).map(|place| {
            let (jobs, todo) = channel::<Job>();
            let (done, core) = (done.clone(), cores.get(place).copied());
            thread::spawn(move || {
                // Without this, the two may share a core and never contend.
                core.map(core_affinity::set_for_current);
                let _heap = well_used_heap();
                todo.iter().try_for_each(|job| done.send(job()))
            });
            jobs
        });
        Self {
            jobs: jobs.collect(),
            times,
        }
    }

    /// Runs the work on this number of threads at once, each with its index. Returns the mean of
    /// their times.
    fn run(
        &self,
        threads: usize,
        work: impl Fn(usize) -> Duration + Clone + Send + 'static,
    ) -> Duration {
        for (place, jobs) in self.jobs.iter().take(threads).enumerate() {
            let work = work.clone();
            jobs.send(Box::new(move || work(place)))
                .expect("a thread that waits");
        }
        let times = (0..threads).map(|_| self.times.recv().expect("a time from each"));
        times.sum::<Duration>() / u32::try_from(threads).unwrap_or(1)
    }
}

/// Leaves free memory below a live block, as in a service that has been running for a while. Without
/// it, the system's allocator would repeatedly give the top of its heap back to the kernel and request
/// it again, which would dominate the figures.
fn well_used_heap() -> Option<Vec<u8>> {
    let mut blocks: Vec<_> = (0..512).map(|_| vec![1; LARGEST]).collect();
    blocks.pop()
}

// ---- The blocks ----

/// A block of memory that is freed by the allocator from which it came.
struct Block<A: GlobalAlloc + Sync + 'static> {
    address: NonNull<u8>,
    layout: Layout,
    allocator: &'static A,
}

const ALIGN: usize = 8;

#[expect(
    unsafe_code,
    reason = "there is no safe way to an allocator that is not the global one"
)]
// SAFETY: a block has one owner, and a global allocator frees it on any thread.
unsafe impl<A: GlobalAlloc + Sync + 'static> Send for Block<A> {}

#[expect(
    unsafe_code,
    reason = "there is no safe way to an allocator that is not the global one"
)]
impl<A: GlobalAlloc + Sync + 'static> Block<A> {
    /// Allocates a block of at least 8 bytes, and writes its first 8.
    #[inline]
    fn new(allocator: &'static A, size: usize) -> Self {
        let layout = Layout::from_size_align(size.max(ALIGN), ALIGN).expect("a small size");
        // SAFETY: the layout is not empty.
        let address = NonNull::new(unsafe { Self::alloc(allocator, layout) }).expect("memory");
        // SAFETY: the block has at least 8 bytes, and is aligned for them.
        unsafe { address.cast::<u64>().write(1) };
        Self {
            address,
            layout,
            allocator,
        }
    }

    fn resize(&mut self) {
        let size = self.layout.size();
        let size = if size <= LARGEST / 2 {
            size * 2
        } else {
            size / 2
        };
        // SAFETY: the block came from this allocator with this layout; the new size is neither 0
        // nor anywhere near the limit.
        let address = unsafe { Self::realloc(self.allocator, self.address, self.layout, size) };
        self.address = NonNull::new(address).expect("memory");
        self.layout = Layout::from_size_align(size, ALIGN).expect("a small size");
    }

    /// # Safety
    /// As for [`GlobalAlloc::alloc`].
    #[inline(never)]
    unsafe fn alloc(allocator: &A, layout: Layout) -> *mut u8 {
        // SAFETY: the caller upholds it.
        unsafe { allocator.alloc(layout) }
    }

    /// # Safety
    /// As for [`GlobalAlloc::realloc`].
    #[inline(never)]
    unsafe fn realloc(allocator: &A, block: NonNull<u8>, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller upholds it.
        unsafe { allocator.realloc(block.as_ptr(), layout, size) }
    }

    /// # Safety
    /// As for [`GlobalAlloc::dealloc`].
    #[inline(never)]
    unsafe fn dealloc(allocator: &A, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller upholds it.
        unsafe { allocator.dealloc(block.as_ptr(), layout) }
    }
}

impl<A: GlobalAlloc + Sync + 'static> Drop for Block<A> {
    #[inline]
    #[expect(
        unsafe_code,
        reason = "there is no safe way to an allocator that is not the global one"
    )]
    fn drop(&mut self) {
        // SAFETY: the block came from this allocator with this layout, and is dropped once.
        unsafe { Self::dealloc(self.allocator, self.address, self.layout) };
    }
}
