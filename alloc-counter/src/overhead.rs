//! Overhead: memory of the measurement itself, which is in no figures of the program.

use std::cell::Cell;
use std::fmt;
use std::ops::{Deref, DerefMut};

use crate::counts::Counts;
use crate::hot::{self, Whose};

// Without destructors, so that they can be read at any time of a thread's life.
thread_local! {
    /// What the innermost [`exclude_counted`] has counted, if that is anything.
    static COUNTED: Cell<Counts> = const { Cell::new(Counts::ZERO) };
    static HAS_COUNTED: Cell<bool> = const { Cell::new(false) };
}

/// Adds to what the innermost [`exclude_counted`] has counted.
pub(crate) fn add_counted(counts: Counts) {
    COUNTED.set(take_counted() + counts);
    HAS_COUNTED.set(true);
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
    let _end = Excluded::begin(Whose::Overhead);
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

/// Returns whether [`take_counted`] would return anything.
#[cfg(feature = "tracing")]
#[inline]
pub(crate) fn has_counted() -> bool {
    HAS_COUNTED.get()
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
    let _end = Included(hot::begin_program());
    work()
}

/// Overhead until it is dropped; has whose memory the thread allocated before.
struct Excluded(Whose);

impl Excluded {
    #[inline]
    fn begin(kind: Whose) -> Self {
        Self(hot::begin_overhead(kind))
    }
}

impl Drop for Excluded {
    #[inline]
    fn drop(&mut self) {
        hot::end_overhead(self.0);
    }
}

/// The program's memory until it is dropped.
struct Included(Whose);

impl Drop for Included {
    fn drop(&mut self) {
        hot::end_program(self.0);
    }
}

/// An [`exclude_counted`] that lasts until it is dropped, also by a panic. [`take_counted`] has its counts.
pub(crate) struct Excluding {
    /// What the one around it has counted, if that is anything.
    around: Option<Counts>,
    _end: Excluded,
}

impl Excluding {
    #[inline]
    pub(crate) fn start() -> Self {
        Self {
            around: HAS_COUNTED.replace(false).then(|| COUNTED.get()),
            _end: Excluded::begin(Whose::CountedOverhead),
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

/// A value that belongs to the measurement: it is cloned and freed as overhead, wherever that is.
///
/// ```
/// # #[global_allocator] static A: alloc_counter::Counting = alloc_counter::Counting::system();
/// use alloc_counter::{Overhead, exclude, measure};
///
/// let list = exclude(|| Overhead::new(vec![1_u8; 100]));
/// let measured = measure(|| drop(list.clone()));
/// assert_eq!(measured.counts.unwrap().deallocations, 0);
/// ```
#[derive(Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Overhead<T: Default>(T);

impl<T: Default> Overhead<T> {
    /// Makes one of a value that was allocated as overhead.
    pub const fn new(value: T) -> Self {
        Self(value)
    }
}

impl<T: Default> Deref for Overhead<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Default> DerefMut for Overhead<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

#[expect(
    clippy::into_iter_without_iter,
    reason = "the value's own `iter` is found"
)]
impl<'a, T: Default> IntoIterator for &'a Overhead<T>
where
    &'a T: IntoIterator,
{
    type Item = <&'a T as IntoIterator>::Item;
    type IntoIter = <&'a T as IntoIterator>::IntoIter;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<T: Default + Clone> Clone for Overhead<T> {
    fn clone(&self) -> Self {
        exclude(|| Self(self.0.clone()))
    }
}

impl<T: Default + fmt::Debug> fmt::Debug for Overhead<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T: Default> Drop for Overhead<T> {
    fn drop(&mut self) {
        exclude(|| drop(std::mem::take(&mut self.0)));
    }
}
