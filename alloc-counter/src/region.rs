//! Measures a stretch of code on this thread: [`Region`] counts, [`measure`] also has the peak.

use std::marker::PhantomData;

use crate::counts::Counts;
use crate::slot::Window;
use crate::thread::{self, Local};

/// A stretch of code on the calling thread, from [`Region::new`] on.
///
/// Regions may overlap in any way. What other threads do is not counted, so parallel tests do not
/// disturb each other. A region has no peak: peaks need stretches that nest, as those of [`measure`]
/// do.
///
/// Cost: creating and reading are each a thread-local and five loads; no allocation.
///
/// ```
/// # #[global_allocator] static A: alloc_counter::Counting = alloc_counter::Counting::system();
/// let region = alloc_counter::Region::new();
/// let list = std::hint::black_box(vec![1u8, 2, 3]);
/// let counts = region.counts().expect("Counting is installed above");
/// assert_eq!((counts.allocations, counts.bytes_allocated), (1, 3));
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "a region that nobody reads measures nothing"]
pub struct Region {
    start: Option<Counts>,
    // On another thread, it would subtract one thread's counters from another's.
    _not_send: PhantomData<*const ()>,
}

impl Region {
    /// Begins a region on this thread.
    pub fn new() -> Self {
        let start = thread::is_installed().then(Local::current).flatten();
        Self {
            start: start.map(Local::counts),
            _not_send: PhantomData,
        }
    }

    /// Returns what the thread has allocated and freed since the region began; `None` if no
    /// [`Counting`](crate::Counting) allocator is installed, or while the thread's thread-locals are
    /// destroyed.
    pub fn counts(&self) -> Option<Counts> {
        let now = Local::current()?.counts();
        Some(now - self.start?)
    }
}

impl Default for Region {
    fn default() -> Self {
        Self::new()
    }
}

/// Result of [`measure`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Measured<T> {
    /// What the work returned.
    pub value: T,
    /// What the work allocated and freed on its thread; `None` if no
    /// [`Counting`](crate::Counting) allocator is installed.
    pub counts: Option<Counts>,
    /// Highest live bytes above those at the start: how much memory the work needed at once. `None` also
    /// if it is not known exactly, because a [`Window`](crate::Window) that was opened inside was closed
    /// after the end.
    pub peak_bytes: Option<u64>,
}

/// Runs `work` and measures what it allocates on this thread.
///
/// Measurements nest; each includes those inside it. If `work` panics, the panic continues, and the
/// measurements around it stay exact.
///
/// Cost: a few loads and stores before and after; no allocation.
///
/// ```
/// # #[global_allocator] static A: alloc_counter::Counting = alloc_counter::Counting::system();
/// let measured = alloc_counter::measure(|| {
///     let mut bytes = Vec::new();
///     for _ in 0..100 {
///         bytes.push(std::hint::black_box(1u8));
///     }
///     bytes.len()
/// });
/// assert_eq!(measured.value, 100);
/// let counts = measured.counts.expect("Counting is installed above");
/// assert_eq!((counts.allocations, counts.reallocations), (1, 4));
/// assert_eq!(measured.peak_bytes, Some(128));
/// ```
pub fn measure<T>(work: impl FnOnce() -> T) -> Measured<T> {
    let mut measuring = Measuring::start();
    let value = work();
    let Measured {
        counts, peak_bytes, ..
    } = measuring.stop();
    Measured {
        value,
        counts,
        peak_bytes,
    }
}

/// Measurement that runs until it is stopped: [`measure`] for work that is not a closure. It must stop
/// on the thread on which it started, and measurements must nest, as guards in blocks do.
///
/// ```
/// # #[global_allocator] static A: alloc_counter::Counting = alloc_counter::Counting::system();
/// use alloc_counter::Measuring;
///
/// let mut measuring = Measuring::start();
/// drop(std::hint::black_box(vec![0_u8; 100]));
/// let measured = measuring.stop();
/// assert_eq!((measured.counts.unwrap().allocations, measured.peak_bytes), (1, Some(100)));
/// ```
#[derive(Debug)]
#[must_use = "a measurement that is dropped at once measures nothing"]
pub struct Measuring {
    open: Option<OpenWindow>,
    _not_send: PhantomData<*const ()>,
}

impl Measuring {
    /// Starts a measurement on this thread.
    #[inline]
    pub fn start() -> Self {
        let local = thread::is_installed().then(Local::current).flatten();
        Self {
            open: local.map(OpenWindow::new),
            _not_send: PhantomData,
        }
    }

    /// Returns what this thread did since the start. Takes `&mut self`, because moving the readings costs
    /// more than taking them; a second stop returns no figures.
    #[inline]
    pub fn stop(&mut self) -> Measured<()> {
        let closed = self.open.as_mut().and_then(OpenWindow::close);
        Measured {
            value: (),
            counts: closed.map(|(counts, _)| counts),
            peak_bytes: closed.and_then(|(_, peak_bytes)| peak_bytes),
        }
    }
}

/// Closes its window when dropped, so that a panic leaves the windows around it nested.
#[derive(Debug)]
struct OpenWindow {
    local: Local,
    start: Counts,
    window: Option<Window>,
}

impl OpenWindow {
    #[inline]
    fn new(local: Local) -> Self {
        Self {
            start: local.counts(),
            window: Some(local.open_window()),
            local,
        }
    }

    #[inline]
    fn close(&mut self) -> Option<(Counts, Option<u64>)> {
        let window = self.window.take()?;
        let counts = self.local.counts() - self.start;
        let highest = Self::close_window(window);
        // Not below 0: the level at the start is one of those inside.
        let above_start = |level: i64| level.wrapping_sub(self.start.net_bytes());
        Some((counts, highest.map(above_start).map(i64::cast_unsigned)))
    }

    #[inline]
    fn close_window(window: Window) -> Option<i64> {
        // Not through `self.local`: the thread may have given its slot back in the meantime.
        Local::current()?.close_window(window)
    }
}

impl Drop for OpenWindow {
    #[inline]
    fn drop(&mut self) {
        self.window.take().and_then(Self::close_window);
    }
}
