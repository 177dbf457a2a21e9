//! Allocations that may fail, for a request's thread: the other ways of the standard library abort the
//! process.

use std::ops::{Deref, DerefMut};

/// A box whose allocation may fail.
#[derive(Debug)]
pub(crate) struct Boxed<T>(Box<[T; 1]>);

impl<T> Boxed<T> {
    /// Gives the value back if there is no memory.
    pub(crate) fn new(value: T) -> Result<Self, T> {
        let mut one = Vec::new();
        if one.try_reserve_exact(1).is_err() {
            return Err(value);
        }
        one.push(value);
        // Its capacity is its length, so this allocates nothing.
        match one.into_boxed_slice().try_into() {
            Ok(boxed) => Ok(Self(boxed)),
            Err(_) => unreachable!("it is one"),
        }
    }
}

impl<T> Deref for Boxed<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        let [value] = &*self.0;
        value
    }
}

impl<T> DerefMut for Boxed<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        let [value] = &mut *self.0;
        value
    }
}

/// Lengthens a list to at least this length; `false` if there is no memory.
pub(crate) fn lengthen<T: Default>(list: &mut Vec<T>, length: usize) -> bool {
    let more = length.saturating_sub(list.len());
    let is_long = list.try_reserve(more).is_ok();
    if is_long && more > 0 {
        list.resize_with(length, T::default);
    }
    is_long
}

/// Returns whether there is memory at this moment for some small allocations of other crates, which
/// can't be made fallible.
#[cfg(feature = "tower")]
pub(crate) fn is_some_left() -> bool {
    // A size whose freed memory allocators do not reserve for the thread's next allocation of that size.
    let probe = || Vec::<u8>::new().try_reserve_exact(4096).is_ok();
    alloc_counter::exclude(probe)
}
