//! Primitives of the standard library and of crossbeam, or, under `cfg(loom)`, those of loom, with which
//! the models run. The rest of the crate does not know which.

#[cfg(not(loom))]
pub(crate) use crossbeam_utils::atomic::AtomicCell;
#[cfg(not(loom))]
pub(crate) use std::hint::spin_loop;
#[cfg(not(loom))]
pub(crate) use std::sync::{
    Mutex, MutexGuard, OnceLock,
    atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, fence},
};

#[cfg(loom)]
pub(crate) use alloc_counter::model::AtomicCell;
#[cfg(loom)]
pub(crate) use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, fence},
};

/// A function that is `const`, though not with loom, whose atomics are made at run time.
macro_rules! const_fn {
    ($(#[$attribute:meta])* $visibility:vis const fn $($rest:tt)*) => {
        #[cfg(not(loom))]
        $(#[$attribute])* $visibility const fn $($rest)*
        #[cfg(loom)]
        $(#[$attribute])* $visibility fn $($rest)*
    };
}

/// A static. With loom, every execution of a model makes a new one.
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

/// An array of new values of one expression.
macro_rules! array {
    ($value:expr; $length:expr) => {{
        #[cfg(not(loom))]
        {
            [const { $value }; $length]
        }
        #[cfg(loom)]
        {
            std::array::from_fn::<_, { $length }, _>(|_| $value)
        }
    }};
}

pub(crate) use {array, const_fn, shared_static};

/// A value that is read at the next attempt would also be read by a later reader at its first one. So
/// the model need not explore further from here.
#[cfg(loom)]
pub(crate) fn spin_loop() {
    loom::skip_branch();
}

/// The standard library's `OnceLock`, as loom can see it.
#[cfg(loom)]
#[derive(Debug)]
pub(crate) struct OnceLock<T> {
    is_set: AtomicBool,
    setting: Mutex<()>,
    value: std::sync::OnceLock<T>,
}

#[cfg(loom)]
impl<T> OnceLock<T> {
    pub(crate) fn new() -> Self {
        Self {
            is_set: AtomicBool::new(false),
            setting: Mutex::new(()),
            value: std::sync::OnceLock::new(),
        }
    }

    pub(crate) fn get(&self) -> Option<&T> {
        let is_set = self.is_set.load(std::sync::atomic::Ordering::Acquire);
        self.value.get().filter(|_| is_set)
    }

    pub(crate) fn set(&self, value: T) -> Result<(), T> {
        let _setting = self.setting.lock();
        let set = self.value.set(value);
        self.is_set
            .store(true, std::sync::atomic::Ordering::Release);
        set
    }
}
