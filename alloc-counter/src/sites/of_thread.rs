//! What a thread has for its sites. It is overhead, also when the thread ends.

use std::cell::RefCell;
use std::ops::Deref;

use crate::thread::exclude;

/// Memory of a thread, which is freed as overhead.
pub(super) struct OfThread<T: Default>(RefCell<T>);

impl<T: Default> OfThread<T> {
    pub(super) const fn new(value: T) -> Self {
        Self(RefCell::new(value))
    }
}

impl<T: Default> Deref for OfThread<T> {
    type Target = RefCell<T>;

    fn deref(&self) -> &RefCell<T> {
        &self.0
    }
}

impl<T: Default> Drop for OfThread<T> {
    fn drop(&mut self) {
        exclude(|| drop(std::mem::take(self.0.get_mut())));
    }
}
