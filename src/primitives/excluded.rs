//! What is the tracer's own, also when it is dropped, and what is the program's.

use std::ops::{Deref, DerefMut};

/// A value that was made inside of [`alloc_counter::exclude`], and is dropped inside of it: what it
/// takes is in nobody's figures, and neither is that it is given back.
pub(crate) struct Own<T>(Option<T>);

impl<T> Own<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(Some(value))
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

/// A value that the program made, and that is dropped as the program's: wherever that is, what it frees is
/// the program's.
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
