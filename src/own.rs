//! What is the tracer's own, also when it is dropped.

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
