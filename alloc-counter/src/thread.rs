//! The slot that a thread counts into, and the readings of it on that thread.
//!
//! A thread owns a slot from its first allocation until its thread-locals are destroyed. Another thread
//! may then claim the slot; its counters continue from their last values. A thread without a slot counts
//! into one of two shared slots by atomic addition: [`OVERHEAD`] for excluded memory, [`UNATTRIBUTED`]
//! for memory after the thread gave its slot back. A slot has separate totals for its thread's overhead,
//! so that no two threads write to one of them.

use std::cell::Cell;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use crate::counts::Counts;
use crate::registry::{self, OVERHEAD, UNATTRIBUTED};
use crate::remote::Remote;
#[cfg(feature = "sites")]
use crate::sites;
use crate::slot::{Operation, Slot, Window};

/// Set once a request has come through the allocator.
static INSTALLED: AtomicBool = AtomicBool::new(false);

/// Set once a request has failed: from then on, a claim checks that there is memory.
static HAS_FAILED: AtomicBool = AtomicBool::new(false);

/// State of the thread's slot.
#[derive(Clone, Copy)]
enum Standing {
    New,
    /// A claim is in progress, so what it allocates must not claim again.
    Claiming,
    Owner(&'static Slot),
    Ended,
}

/// Whose memory it is that the thread allocates.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    Programs,
    Overhead,
    /// Overhead that is also added up in [`COUNTED`].
    CountedOverhead,
}

// All but the last have no destructor, so they can be read at any time of a thread's life, and none
// is initialised at run time, so reading one is a load.
thread_local! {
    /// The hot path: the slot to count into, if it needs no further check.
    static SLOT: Cell<Option<&'static Slot>> = const { Cell::new(None) };
    /// The slot to count the program's memory into, if all that it needs besides is a look at the samples.
    #[cfg(feature = "sites")]
    static SAMPLED: Cell<Option<&'static Slot>> = const { Cell::new(None) };
    static STANDING: Cell<Standing> = const { Cell::new(Standing::New) };
    static WHOSE: Cell<Whose> = const { Cell::new(Whose::Programs) };
    /// What the innermost [`exclude_counted`] has counted, if that is anything.
    static COUNTED: Cell<Counts> = const { Cell::new(Counts::ZERO) };
    static HAS_COUNTED: Cell<bool> = const { Cell::new(false) };
    /// Initialised by a claim; its destructor gives the slot back when the thread ends.
    static GIVE_BACK: GiveBack = const { GiveBack };
}

struct GiveBack;

impl Drop for GiveBack {
    fn drop(&mut self) {
        // The hot path first: a destructor that runs after this one must not write to a slot that may
        // have its next owner already.
        SLOT.set(None);
        #[cfg(feature = "sites")]
        SAMPLED.set(None);
        if let Standing::Owner(slot) = STANDING.replace(Standing::Ended) {
            registry::release(slot);
        }
    }
}

/// Counts what the allocator did on this thread to a block, whose size was the first and is now the
/// second.
#[inline(always)]
#[expect(clippy::inline_always, reason = "the path of every allocation")]
pub(crate) fn count(operation: Operation, old: usize, new: usize) {
    if !try_count(operation, old, new) {
        match operation {
            Operation::Allocate => note_allocation(new),
            Operation::Free => note_free(old),
            Operation::Resize => note_resize(old, new),
        }
    }
}

/// Counts if the thread has a slot and nothing but an addition is needed; else returns `false`.
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
fn note_allocation(bytes: usize) {
    count_beside_samples(Operation::Allocate, 0, bytes);
}

#[cold]
#[inline(never)]
fn note_free(bytes: usize) {
    count_beside_samples(Operation::Free, bytes, 0);
}

#[cold]
#[inline(never)]
fn note_resize(old: usize, new: usize) {
    count_beside_samples(Operation::Resize, old, new);
}

#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "the path of every allocation beside samples"
)]
fn count_beside_samples(operation: Operation, old: usize, new: usize) {
    #[cfg(feature = "sites")]
    {
        let is_noted = if WHOSE.get() == Whose::Programs
            && let Some(slot) = SAMPLED.get()
        {
            slot.count(operation, old, new);
            sites::is_sampled(old, new)
        } else {
            count_without_slot(operation, old, new) && sites::is_at(old, new)
        };
        // Here for all, so that the same place has the same callers.
        if is_noted && operation != Operation::Free {
            sites::note(operation, old, new);
        }
    }
    #[cfg(not(feature = "sites"))]
    let _ = count_without_slot(operation, old, new);
}

/// Returns whether it is the program's memory, counted into the thread's own slot.
#[cold]
#[inline(never)]
fn count_without_slot(operation: Operation, old: usize, new: usize) -> bool {
    if !INSTALLED.load(Relaxed) {
        INSTALLED.store(true, Relaxed);
    }
    let whose = WHOSE.get();
    if whose != Whose::Programs {
        if whose == Whose::CountedOverhead {
            COUNTED.set(take_counted() + operation.counts(old, new));
            HAS_COUNTED.set(true);
        }
        match STANDING.get() {
            Standing::Owner(slot) => slot.count_overhead(operation, old, new),
            _ => OVERHEAD.count_shared(operation, old, new),
        }
        return false;
    }
    if let Some(slot) = own_slot() {
        slot.count(operation, old, new);
        #[cfg(feature = "sites")]
        if sites::are_wanted() {
            if sites::are_samples() {
                SAMPLED.set(Some(slot));
            }
            return true;
        }
        SLOT.set(Some(slot));
        return true;
    }
    if matches!(STANDING.get(), Standing::Claiming) {
        OVERHEAD.count_shared(operation, old, new);
    } else {
        UNATTRIBUTED.count_shared(operation, old, new);
    }
    false
}

/// Lets the next allocations on this thread come by the path for the sites that are wanted now.
#[cfg(feature = "sites")]
pub(crate) fn choose_path() {
    let slot = match STANDING.get() {
        Standing::Owner(slot) => Some(slot),
        _ => None,
    };
    SAMPLED.set(slot.filter(|_| sites::are_samples()));
    let is_hot = WHOSE.get() == Whose::Programs && !sites::are_wanted();
    SLOT.set(slot.filter(|_| is_hot));
}

/// Returns this thread's slot, which it claims if needed; `None` if the thread is ending, a claim is in
/// progress, or there is no memory for a slot.
#[cold]
fn own_slot() -> Option<&'static Slot> {
    match STANDING.get() {
        Standing::Owner(slot) => Some(slot),
        _ => claim_slot(),
    }
}

#[inline(never)]
fn claim_slot() -> Option<&'static Slot> {
    match STANDING.get() {
        Standing::Owner(slot) => Some(slot),
        Standing::Claiming | Standing::Ended => None,
        Standing::New => {
            STANDING.set(Standing::Claiming);
            if !is_memory_left() {
                STANDING.set(Standing::New);
                return None;
            }
            // Registers the destructor. This fails if the thread's destructors have run; a slot
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

/// Without memory for a destructor's entry, the C library aborts the process. So memory is requested
/// and freed first, in a size that the allocator does not keep for this thread alone.
fn is_memory_left() -> bool {
    !HAS_FAILED.load(Relaxed) || Vec::<u8>::new().try_reserve_exact(4096).is_ok()
}

/// Notes that a request for memory has failed.
#[cold]
#[inline(never)]
pub(crate) fn note_failure() {
    HAS_FAILED.store(true, Relaxed);
}

/// Returns whether a [`Counting`](crate::Counting) allocator serves this process.
///
/// If not, every figure of this crate is `None` rather than 0.
#[inline]
pub fn is_installed() -> bool {
    INSTALLED.load(Relaxed) || try_whether_installed()
}

/// The first allocation of the process sets the flag; this makes one if there was none.
#[cold]
fn try_whether_installed() -> bool {
    drop(std::hint::black_box(Box::new(0_u8)));
    INSTALLED.load(Relaxed)
}

/// Runs `work` and counts what it allocates and frees on this thread as overhead: in the process's
/// totals, but in no thread's, region's or call's figures.
///
/// Meant for memory that belongs to the measurement itself. Memory that is allocated inside should be
/// freed inside an `exclude` too, otherwise the free is counted as the program's. A panic in `work`
/// restores the counting as it was.
///
/// ```
/// # #[global_allocator] static A: alloc_counter::Counting = alloc_counter::Counting::system();
/// let measured = alloc_counter::measure(|| {
///     alloc_counter::exclude(|| drop(std::hint::black_box(vec![1u8; 64])));
/// });
/// assert_eq!(measured.counts.unwrap().allocates(), 0);
/// ```
pub fn exclude<T>(work: impl FnOnce() -> T) -> T {
    let _restore = Restore::after(Whose::Overhead);
    work()
}

/// Runs `work` as [`exclude`] does, and returns what it allocated and freed on this thread.
///
/// The counts are also known while the thread's thread-locals are destroyed. They have neither what
/// [`exclude`] and [`include`](include()) inside of it leave out, nor what another `exclude_counted` inside of it
/// returns. All zero if no [`Counting`](crate::Counting) allocator is installed.
///
/// ```
/// # #[global_allocator] static A: alloc_counter::Counting = alloc_counter::Counting::system();
/// use alloc_counter::{exclude_counted, measure};
///
/// let measured = measure(|| exclude_counted(|| drop(std::hint::black_box(vec![1u8; 64]))));
/// assert_eq!(measured.counts.unwrap().allocates(), 0);
/// let ((), counts) = measured.value;
/// assert_eq!((counts.allocations, counts.bytes_deallocated), (1, 64));
/// ```
pub fn exclude_counted<T>(work: impl FnOnce() -> T) -> (T, Counts) {
    let _excluding = Excluding::start();
    let value = work();
    (value, take_counted())
}

/// Takes what the innermost [`exclude_counted`] on this thread has counted until now: it will return the
/// rest. All zero outside.
///
/// ```
/// # #[global_allocator] static A: alloc_counter::Counting = alloc_counter::Counting::system();
/// use alloc_counter::{exclude_counted, take_counted};
///
/// let (first, rest) = exclude_counted(|| {
///     drop(std::hint::black_box(Box::new(1)));
///     take_counted()
/// });
/// assert_eq!((first.allocations, rest.allocations), (1, 0));
/// ```
#[inline]
pub fn take_counted() -> Counts {
    if HAS_COUNTED.replace(false) {
        COUNTED.get()
    } else {
        Counts::ZERO
    }
}

/// Runs `work` inside of [`exclude`] and counts what it allocates and frees as the program's: for
/// values that the program handed to a measurement.
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
    // The first count looks the thread's slot up again.
    let _restore = Restore::after(Whose::Programs);
    work()
}

/// Restores how the thread counted before.
struct Restore {
    slot: Option<&'static Slot>,
    whose: Whose,
}

impl Restore {
    #[inline]
    fn after(whose: Whose) -> Self {
        Self {
            slot: SLOT.take(),
            whose: WHOSE.replace(whose),
        }
    }
}

impl Drop for Restore {
    #[inline]
    fn drop(&mut self) {
        WHOSE.set(self.whose);
        #[cfg(feature = "sites")]
        if sites::are_wanted() {
            // Perhaps since, and the saved slot is from before.
            return SLOT.set(None);
        }
        SLOT.set(self.slot);
    }
}

/// An [`exclude_counted`] that lasts until it is dropped, also by a panic. [`take_counted`] has its counts.
pub(crate) struct Excluding {
    /// What the one around it has counted, if that is anything.
    around: Option<Counts>,
    _restore: Restore,
}

impl Excluding {
    #[inline]
    pub(crate) fn start() -> Self {
        Self {
            around: HAS_COUNTED.replace(false).then(|| COUNTED.get()),
            _restore: Restore::after(Whose::CountedOverhead),
        }
    }
}

impl Drop for Excluding {
    #[inline]
    fn drop(&mut self) {
        HAS_COUNTED.set(self.around.is_some());
        if let Some(around) = self.around {
            COUNTED.set(around);
        }
    }
}

/// The calling thread's counters, for code that takes many readings.
///
/// Get it for each use and do not keep it: when the thread's thread-locals are destroyed, its counters
/// go to another thread.
///
/// Cheaper than a [`Region`](crate::Region): a reading is five loads. It is made for tracers; tests use
/// [`measure`](crate::measure) or [`Budget`](crate::Budget).
#[derive(Clone, Copy)]
pub struct Local {
    slot: &'static Slot,
    // Not `Send`: only the owner may write the peaks.
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
    /// Returns the calling thread's counters; `None` after the thread has given them back, while its
    /// thread-locals are destroyed.
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

    /// Returns the totals of the slot that the thread counts into. Only differences are meaningful: a
    /// slot continues from its last owner's values.
    #[inline]
    pub fn counts(self) -> Counts {
        self.slot.counts()
    }

    /// Returns the totals of [`counts`](Self::counts) one by one, in the order of [`Counts::to_array`];
    /// each is read when the iterator gets there, for code that stores them at once.
    #[inline]
    pub fn totals(self) -> impl Iterator<Item = u64> {
        self.slot.totals()
    }

    /// Returns a handle by which other threads read these counters.
    #[inline]
    pub fn remote(self) -> Remote {
        Remote::new(self.slot)
    }

    /// Returns the number of the thread that these counters belong to, as in
    /// [`threads`](crate::threads).
    #[inline]
    pub fn thread(self) -> u64 {
        self.slot.owner()
    }

    pub(crate) fn owned_counts(self) -> Option<(u64, Counts)> {
        self.slot.owned_counts()
    }

    /// Draws a boundary: returns the highest live level since the last boundary, and starts again from
    /// the present level. Levels of one thread can be compared with each other and with
    /// [`Counts::net_bytes`] of [`counts`](Self::counts).
    #[inline]
    pub fn take_peak(self) -> i64 {
        self.slot.take_peak(self.counts().net_bytes())
    }

    /// Draws a boundary as [`take_peak`](Self::take_peak), given the present level, which is
    /// [`Counts::net_bytes`] of [`counts`](Self::counts).
    #[inline]
    pub fn take_peak_at(self, level: i64) -> i64 {
        self.slot.take_peak(level)
    }

    /// Opens a window: until it is closed, the highest level inside is kept, whatever boundaries are
    /// drawn and windows are opened and closed inside.
    #[inline]
    pub fn open_window(self) -> Window {
        self.slot.open_window()
    }

    /// Closes a window and returns the highest level inside. `None` if windows were not closed in the
    /// reverse order of their opening; those around it return `None` too when they are closed.
    #[inline]
    #[expect(clippy::needless_pass_by_value, reason = "a window is closed once")]
    pub fn close_window(self, window: Window) -> Option<i64> {
        self.slot.close_window(&window)
    }
}
