//! Which slot a thread counts into.
//!
//! A thread owns a slot from its first allocation until its thread-locals are destroyed; the slot
//! then goes to another thread, its counters going on from where they stand. Where a thread has
//! no slot, it counts into one of two shared ones with atomic additions: [`OVERHEAD`] for memory
//! that is the tracer's own, [`UNATTRIBUTED`] for what comes after the thread gave its slot back. (A
//! slot has totals of their own for the tracer's memory: so nobody writes where others do.)

use std::cell::Cell;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use crate::counts::Counts;
use crate::registry::{self, OVERHEAD, UNATTRIBUTED};
use crate::remote::Remote;
use crate::slot::{Operation, Slot, Window};

/// A request has come through the allocator at some time.
static INSTALLED: AtomicBool = AtomicBool::new(false);

/// A request has failed at some time: since then it is not taken for granted that there is memory.
static HAS_FAILED: AtomicBool = AtomicBool::new(false);

/// How the thread stands to its slot.
#[derive(Clone, Copy)]
enum Standing {
    New,
    /// In the middle of claiming, so that what claiming allocates does not claim again.
    Claiming,
    Owner(&'static Slot),
    Ended,
}

// All but the last have no destructor, so that they can be read at any time of a thread's life,
// and none needs initialising at run time: reading one is a load.
thread_local! {
    /// The hot path: the slot to count into without a question asked.
    static SLOT: Cell<Option<&'static Slot>> = const { Cell::new(None) };
    static STANDING: Cell<Standing> = const { Cell::new(Standing::New) };
    static EXCLUDED: Cell<bool> = const { Cell::new(false) };
    /// Touched while claiming only: gives the slot back when the thread ends.
    static GIVE_BACK: GiveBack = const { GiveBack };
}

struct GiveBack;

impl Drop for GiveBack {
    fn drop(&mut self) {
        // The hot path first: a destructor that runs after this one must not write to a slot
        // that may have its next owner already.
        SLOT.set(None);
        if let Standing::Owner(slot) = STANDING.replace(Standing::Ended) {
            registry::release(slot);
        }
    }
}

/// Counts what the allocator did on this thread to a block of the first size, now of the second.
#[inline(always)]
#[expect(clippy::inline_always, reason = "the path of every allocation")]
pub(crate) fn count(operation: Operation, old: usize, new: usize) {
    if !try_count(operation, old, new) {
        count_without_slot(operation, old, new);
    }
}

/// The same, but only where the thread has a slot, and nothing more than adding is needed.
#[inline(always)]
#[expect(clippy::inline_always, reason = "the path of every allocation")]
pub(crate) fn try_count(operation: Operation, old: usize, new: usize) -> bool {
    let slot = SLOT.get();
    if let Some(slot) = slot {
        slot.count(operation, old, new);
    }
    slot.is_some()
}

#[cold]
#[inline(never)]
fn count_without_slot(operation: Operation, old: usize, new: usize) {
    if !INSTALLED.load(Relaxed) {
        INSTALLED.store(true, Relaxed);
    }
    if EXCLUDED.get() {
        return match STANDING.get() {
            Standing::Owner(slot) => slot.count_overhead(operation, old, new),
            _ => OVERHEAD.count_shared(operation, old, new),
        };
    }
    if let Some(slot) = own_slot() {
        SLOT.set(Some(slot));
        slot.count(operation, old, new);
    } else if matches!(STANDING.get(), Standing::Claiming) {
        OVERHEAD.count_shared(operation, old, new);
    } else {
        UNATTRIBUTED.count_shared(operation, old, new);
    }
}

/// This thread's slot, claimed if need be; none for a thread that is ending, in the middle of a
/// claim, or when there is no memory for a slot.
#[cold]
fn own_slot() -> Option<&'static Slot> {
    match STANDING.get() {
        Standing::Owner(slot) => Some(slot),
        Standing::Claiming | Standing::Ended => None,
        Standing::New => {
            STANDING.set(Standing::Claiming);
            if !is_memory_left() {
                STANDING.set(Standing::New);
                return None;
            }
            // Registers the destructor. Refused where the thread is past its destructors; a slot
            // claimed then would never be given back.
            if GIVE_BACK.try_with(|_| ()).is_err() {
                STANDING.set(Standing::Ended);
                return None;
            }
            let claimed = registry::claim();
            STANDING.set(claimed.map_or(Standing::New, Standing::Owner));
            claimed
        }
    }
}

/// Without memory for a destructor's entry the C library ends the process. So memory is looked for
/// before, in a size that is not kept for this thread's next request of that size only.
fn is_memory_left() -> bool {
    !HAS_FAILED.load(Relaxed) || Vec::<u8>::new().try_reserve_exact(4096).is_ok()
}

/// A request for memory has failed.
#[cold]
#[inline(never)]
pub(crate) fn note_failure() {
    HAS_FAILED.store(true, Relaxed);
}

/// Whether a [`Counting`](crate::Counting) allocator serves this process.
///
/// Where it does not, every figure of this crate is `None` rather than 0.
#[inline]
pub fn is_installed() -> bool {
    INSTALLED.load(Relaxed) || try_whether_installed()
}

/// The first allocation of a process or thread sets the flag; makes one to be sure.
#[cold]
fn try_whether_installed() -> bool {
    drop(std::hint::black_box(Box::new(0_u8)));
    INSTALLED.load(Relaxed)
}

/// Runs `work` so that what it allocates and frees on this thread is counted as overhead: it is
/// in the process's totals, and in no thread's, region's or call's figures.
///
/// Meant for memory that belongs to the measurement itself. What is allocated inside should also
/// be freed inside another `exclude`, or its free is counted where it happens. Regions and peaks
/// are as if `work` had done nothing; a panic in it leaves the counting as it was.
///
/// ```
/// # #[global_allocator] static A: alloc_counter::Counting = alloc_counter::Counting::system();
/// let measured = alloc_counter::measure(|| {
///     alloc_counter::exclude(|| drop(std::hint::black_box(vec![1u8; 64])));
/// });
/// assert_eq!(measured.counts.unwrap().allocates(), 0);
/// ```
pub fn exclude<T>(work: impl FnOnce() -> T) -> T {
    let _restore = Restore::after(true);
    work()
}

/// Runs `work` so that what it allocates and frees is the program's again, inside of
/// [`exclude`]: for what a measurement was handed by the program.
///
/// ```
/// # #[global_allocator] static A: alloc_counter::Counting = alloc_counter::Counting::system();
/// use alloc_counter::{exclude, include, measure};
///
/// let text = String::from("the program's");
/// let measured = measure(|| exclude(|| include(|| drop(text))));
/// assert_eq!(measured.counts.unwrap().deallocations, 1);
/// ```
pub fn include<T>(work: impl FnOnce() -> T) -> T {
    // The first count finds the thread's slot again.
    let _restore = Restore::after(false);
    work()
}

/// How the thread counted before.
struct Restore {
    slot: Option<&'static Slot>,
    excluded: bool,
}

impl Restore {
    fn after(is_excluded: bool) -> Self {
        Self {
            slot: SLOT.take(),
            excluded: EXCLUDED.replace(is_excluded),
        }
    }
}

impl Drop for Restore {
    fn drop(&mut self) {
        EXCLUDED.set(self.excluded);
        SLOT.set(self.slot);
    }
}

/// The calling thread's counters, for code that takes many readings.
///
/// Take it anew for each use: at the very end of a thread, when its thread-locals are destroyed, its
/// counters go to another thread.
///
/// Cheaper than a [`Region`](crate::Region): a reading is five loads. This is what a tracer
/// builds on; tests want [`measure`](crate::measure) or [`Budget`](crate::Budget).
#[derive(Clone, Copy)]
pub struct Local {
    slot: &'static Slot,
    /// Stays on its thread: the peaks may be written by the owner alone.
    _not_send: std::marker::PhantomData<*const ()>,
}

impl std::fmt::Debug for Local {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Local")
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}

impl Local {
    /// The calling thread's counters; `None` in the last moments of a thread, when its counters
    /// have been given back.
    #[inline]
    pub fn current() -> Option<Self> {
        SLOT.get().or_else(own_slot).map(Self::of)
    }

    #[inline]
    pub(crate) fn of(slot: &'static Slot) -> Self {
        Self {
            slot,
            _not_send: std::marker::PhantomData,
        }
    }

    /// The totals of the slot that the thread counts into. Only differences mean anything: a slot
    /// goes on from where its last owner left it.
    #[inline]
    pub fn counts(self) -> Counts {
        self.slot.counts()
    }

    /// The same one after the other, in the order of [`Counts::to_array`], each read when it is asked
    /// for: for code that puts them straight to where they belong.
    #[inline]
    pub fn totals(self) -> impl Iterator<Item = u64> {
        self.slot.totals()
    }

    /// The same counters, to be read from other threads.
    #[inline]
    pub fn remote(self) -> Remote {
        Remote::new(self.slot)
    }

    /// The number of the thread that these counters belong to, as in [`threads`](crate::threads).
    #[inline]
    pub fn thread(self) -> u64 {
        self.slot.owner()
    }

    pub(crate) fn owned_counts(self) -> Option<(u64, Counts)> {
        self.slot.owned_counts()
    }

    /// Draws a boundary: answers the highest live level since the last one, and begins anew from
    /// the present level. Levels are comparable among each other on one thread, and with
    /// [`Counts::net_bytes`] of [`counts`](Self::counts).
    #[inline]
    pub fn take_peak(self) -> i64 {
        self.slot.take_peak(self.counts().net_bytes())
    }

    /// The same where the caller has just read the level: [`Counts::net_bytes`] of
    /// [`counts`](Self::counts).
    #[inline]
    pub fn take_peak_at(self, level: i64) -> i64 {
        self.slot.take_peak(level)
    }

    /// Opens a window: until it is closed, the highest level inside is kept, whatever boundaries
    /// are drawn and windows opened and closed within.
    #[inline]
    pub fn open_window(self) -> Window {
        self.slot.open_window()
    }

    /// Closes a window and answers the highest level within. `None` where windows were not closed
    /// in the opposite order of their opening; those around it keep what they had seen, and say
    /// `None` too when they are closed.
    #[inline]
    #[expect(clippy::needless_pass_by_value, reason = "a window is closed once")]
    pub fn close_window(self, window: Window) -> Option<i64> {
        self.slot.close_window(&window)
    }
}
