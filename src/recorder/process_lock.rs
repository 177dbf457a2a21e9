//! A lock that survives a fork of the process.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use crate::primitives::wait::Patience;

/// How often the lock is tried before its thread blocks: requests hold it for less than a microsecond.
const LOOKS: u32 = 50;

/// A mutex of this process. In a process that was forked while another thread held it, it is never
/// unlocked, and [`take`](Self::take) gives up.
///
/// The value is never left half changed: no foreign code runs under the lock.
pub(crate) struct ProcessLock<T> {
    mutex: Mutex<T>,
    process: u32,
    /// Whether a forked process has waited for it in vain.
    is_given_up: AtomicBool,
}

impl<T> ProcessLock<T> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            mutex: Mutex::new(value),
            process: std::process::id(),
            is_given_up: AtomicBool::new(false),
        }
    }

    /// Returns `None` if another thread holds the lock.
    #[inline]
    pub(super) fn try_take(&self) -> Option<MutexGuard<'_, T>> {
        match self.mutex.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Locks it. Returns `None` if it was held at a fork, and so is never unlocked.
    #[inline]
    pub(crate) fn take(&self) -> Option<MutexGuard<'_, T>> {
        self.try_take().or_else(|| self.wait_a_while())
    }

    #[cold]
    fn wait_a_while(&self) -> Option<MutexGuard<'_, T>> {
        let mut patience = Patience::new();
        for looks in 0.. {
            if let Some(guard) = self.try_take() {
                return Some(guard);
            }
            // Asking for the process's id takes a system call, but so does blocking.
            if looks == LOOKS && self.is_of_this_process() {
                return Some(self.wait());
            }
            if self.is_given_up.load(Relaxed) {
                return None;
            }
            if !patience.again() {
                self.is_given_up.store(true, Relaxed);
            }
        }
        None
    }

    fn wait(&self) -> MutexGuard<'_, T> {
        self.mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_of_this_process(&self) -> bool {
        self.process == std::process::id()
    }
}
