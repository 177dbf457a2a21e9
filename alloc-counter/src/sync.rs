//! Atomics: the standard library's and crossbeam's or, under `cfg(loom)`, loom's, for the models. The
//! rest of the crate does not know which.

#[cfg(not(loom))]
pub(crate) use crossbeam_utils::atomic::AtomicCell;
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, AtomicUsize, fence};
#[cfg(all(not(loom), feature = "blocks"))]
pub(crate) use std::sync::{Mutex, MutexGuard, atomic::AtomicBool};

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, AtomicUsize, fence};
#[cfg(all(loom, feature = "blocks"))]
pub(crate) use loom::sync::{Mutex, MutexGuard, atomic::AtomicBool};

/// Makes a function `const`, except under loom, whose atomics are made at run time.
macro_rules! const_fn {
    ($(#[$attribute:meta])* $visibility:vis const fn $($rest:tt)*) => {
        #[cfg(not(loom))]
        $(#[$attribute])* $visibility const fn $($rest)*
        #[cfg(loom)]
        $(#[$attribute])* $visibility fn $($rest)*
    };
}

/// Declares a static; under loom, one that each execution of a model initialises again.
macro_rules! shared_static {
    ($(#[$attribute:meta])* $(pub $scope:tt)? static $name:ident: $type:ty = $value:expr;) => {
        #[cfg(not(loom))]
        $(#[$attribute])* $(pub $scope)? static $name: $type = $value;
        #[cfg(loom)]
        loom::lazy_static! {
            $(#[$attribute])* $(pub $scope)? static ref $name: $type = $value;
        }
    };
}

/// Loads an atomic that no other thread writes to meanwhile, and not atomically; that is unsafe. Loom checks it.
macro_rules! load_alone {
    ($place:expr) => {{
        #[cfg(not(loom))]
        {
            $place.as_ptr().read()
        }
        #[cfg(loom)]
        {
            $place.unsync_load()
        }
    }};
}

pub(crate) use {const_fn, load_alone, shared_static};

/// Crossbeam's `AtomicCell`, as loom can see it: an atomic, accessed with crossbeam's orderings, is the
/// index into a list of the values.
#[cfg(loom)]
#[derive(Debug)]
pub struct AtomicCell<T> {
    place: AtomicUsize,
    values: std::sync::Mutex<Vec<T>>,
}

#[cfg(loom)]
impl<T: Copy> AtomicCell<T> {
    /// Makes a cell with this value.
    pub fn new(value: T) -> Self {
        Self {
            place: AtomicUsize::new(0),
            values: std::sync::Mutex::new(vec![value]),
        }
    }

    fn values(&self) -> std::sync::MutexGuard<'_, Vec<T>> {
        let values = self.values.lock();
        values.unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn add(&self, value: T) -> usize {
        let mut values = self.values();
        values.push(value);
        values.len() - 1
    }

    /// Returns the value in the cell.
    pub fn load(&self) -> T {
        let place = self.place.load(std::sync::atomic::Ordering::Acquire);
        self.values()[place]
    }

    /// Stores a value in the cell.
    pub fn store(&self, value: T) {
        let place = self.add(value);
        self.place
            .store(place, std::sync::atomic::Ordering::Release);
    }

    /// Stores a value in the cell if it holds `current`, and returns the previous value.
    ///
    /// # Errors
    ///
    /// The value that the cell held instead.
    pub fn compare_exchange(&self, current: T, new: T) -> Result<T, T>
    where
        T: Eq,
    {
        use std::sync::atomic::Ordering::{AcqRel, Acquire};
        let new = self.add(new);
        let mut place = self.place.load(Acquire);
        loop {
            let value = self.values()[place];
            if value != current {
                return Err(value);
            }
            match self.place.compare_exchange(place, new, AcqRel, Acquire) {
                Ok(_) => return Ok(value),
                Err(other) => place = other,
            }
        }
    }
}
