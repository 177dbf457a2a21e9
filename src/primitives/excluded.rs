//! Values whose memory is the tracer's own, or the program's, also when they are dropped.

use std::ops::{Deref, DerefMut};

/// A value that was made inside of [`alloc_counter::exclude`] and is dropped inside of it: neither its
/// allocation nor its freeing is in any figures.
pub(crate) struct Own<T>(Option<T>);

impl<T> Own<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(Some(value))
    }

    /// Returns the value, to a caller that is inside of [`alloc_counter::exclude`].
    #[cfg(feature = "otlp")]
    pub(crate) fn into_inner(mut self) -> T {
        match self.0.take() {
            Some(value) => value,
            None => unreachable!("it is there until the drop"),
        }
    }
}

impl<T> Deref for Own<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        match &self.0 {
            Some(value) => value,
            None => unreachable!("it is there until the drop"),
        }
    }
}

impl<T> DerefMut for Own<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        match &mut self.0 {
            Some(value) => value,
            None => unreachable!("it is there until the drop"),
        }
    }
}

impl<T> Drop for Own<T> {
    fn drop(&mut self) {
        alloc_counter::exclude(|| self.0 = None);
    }
}

/// A value that the program made. Wherever it is dropped, the memory that it frees counts as the
/// program's.
#[cfg(feature = "recorder")]
#[derive(Clone)]
pub(crate) struct Programs<T>(Option<T>);

#[cfg(feature = "recorder")]
impl<T> Programs<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(Some(value))
    }
}

#[cfg(feature = "recorder")]
impl<T> Deref for Programs<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match &self.0 {
            Some(value) => value,
            None => unreachable!("it is there until the drop"),
        }
    }
}

#[cfg(feature = "recorder")]
impl<T> DerefMut for Programs<T> {
    fn deref_mut(&mut self) -> &mut T {
        match &mut self.0 {
            Some(value) => value,
            None => unreachable!("it is there until the drop"),
        }
    }
}

#[cfg(feature = "recorder")]
impl<T> Drop for Programs<T> {
    fn drop(&mut self) {
        alloc_counter::include(|| self.0 = None);
    }
}
