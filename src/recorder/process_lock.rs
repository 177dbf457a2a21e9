//! A lock that requests take.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use crate::primitives::wait::Patience;

/// It is had for less than a microsecond by requests; so often it is tried before it is waited for.
const LOOKS: u32 = 50;

/// A lock of this process. In one that was forked while another thread had it, nobody gives it back,
/// and it is not waited for.
///
/// What is behind it is never left half done: no foreign code runs under it.
pub(super) struct ProcessLock<T> {
    mutex: Mutex<T>,
    process: u32,
    /// It was waited for in vain, in another process.
    is_given_up: AtomicBool,
}

impl<T> ProcessLock<T> {
    pub(super) fn new(value: T) -> Self {
        Self {
            mutex: Mutex::new(value),
            process: std::process::id(),
            is_given_up: AtomicBool::new(false),
        }
    }

    /// None where another thread has it.
    pub(super) fn try_take(&self) -> Option<MutexGuard<'_, T>> {
        match self.mutex.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// None where nobody gives it back.
    pub(super) fn take(&self) -> Option<MutexGuard<'_, T>> {
        let mut patience = Patience::new();
        for looks in 0.. {
            if let Some(guard) = self.try_take() {
                return Some(guard);
            }
            // To ask takes a system call, but so does it to wait.
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
