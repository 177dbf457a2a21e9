//! The slot that a thread owns, and the readings of it on that thread.
//!
//! A thread owns a slot from its first allocation until its thread-locals are destroyed. Another thread
//! may then claim the slot; its counters continue from their last values.

use std::cell::Cell;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use crate::counts::Counts;
use crate::hot;
use crate::registry;
use crate::remote::Remote;
use crate::slot::{Slot, Window};

/// Set once a request has come through the allocator.
static INSTALLED: AtomicBool = AtomicBool::new(false);

/// Set once a request has failed: from then on, a claim checks that there is memory.
static HAS_FAILED: AtomicBool = AtomicBool::new(false);

/// State of the thread's slot.
#[derive(Clone, Copy)]
pub(crate) enum Standing {
    New,
    /// A claim is in progress, so what it allocates must not claim again.
    Claiming,
    Owner(&'static Slot),
    Ended,
}

thread_local! {
    /// Without a destructor, so that it can be read at any time of a thread's life.
    static STANDING: Cell<Standing> = const { Cell::new(Standing::New) };
    /// Initialised by a claim; its destructor gives the slot back when the thread ends.
    static GIVE_BACK: GiveBack = const { GiveBack };
}

struct GiveBack;

impl Drop for GiveBack {
    fn drop(&mut self) {
        // The hot path first: a destructor that runs after this one must not write to a slot that may
        // have its next owner already.
        hot::end();
        if let Standing::Owner(slot) = STANDING.replace(Standing::Ended) {
            registry::release(slot);
        }
    }
}

#[inline]
pub(crate) fn standing() -> Standing {
    STANDING.get()
}

/// Returns this thread's slot, which it claims if needed; `None` if the thread is ending, a claim is in
/// progress, or there is no memory for a slot.
#[cold]
pub(crate) fn own_slot() -> Option<&'static Slot> {
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
            if let Some(slot) = claimed {
                hot::begin(slot);
            }
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

/// Notes that a request has come through the allocator.
pub(crate) fn note_installed() {
    if !INSTALLED.load(Relaxed) {
        INSTALLED.store(true, Relaxed);
    }
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

/// The calling thread's counters, for code that takes many readings.
///
/// Get it for each use: when the thread's thread-locals are destroyed, its counters go to another thread. If you keep
/// it, compare [`thread`](Self::thread) before each use: it changes then, and no number is given twice.
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
        hot::slot().or_else(own_slot).map(Self::of)
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

    /// Draws a boundary at the present live level, and opens a window.
    #[inline]
    pub fn open_window_at(self, level: i64) -> Window {
        self.slot.open_window_at(level)
    }

    /// Closes a window and returns the highest level inside. `None` if windows were not closed in the
    /// reverse order of their opening; those around it return `None` too when they are closed.
    #[inline]
    #[expect(clippy::needless_pass_by_value, reason = "a window is closed once")]
    pub fn close_window(self, window: Window) -> Option<i64> {
        self.slot.close_window(&window)
    }
}
