//! A lock that is given up if the process was forked while another thread held it.

use std::sync::PoisonError;

use crate::sync::{Mutex, MutexGuard};

/// Takes a lock; `None` if it will never be unlocked.
///
/// What is done under these locks takes some tens of nanoseconds and doesn't panic. In a process that was forked
/// meanwhile, the thread that had the lock doesn't exist.
#[cfg_attr(
    any(not(unix), loom),
    expect(clippy::unnecessary_wraps, reason = "as where processes are forked")
)]
pub(super) fn lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    #[cfg(all(unix, not(loom)))]
    match mutex.try_lock() {
        Err(std::sync::TryLockError::WouldBlock) if fork::is_forked() => return fork::wait(mutex),
        Err(_) => {}
        locked => return locked.ok(),
    }
    Some(mutex.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Remembers this process, so that locks are given up in processes that are forked from it.
pub(super) fn note_process() {
    #[cfg(all(unix, not(loom)))]
    fork::note();
}

#[cfg(all(unix, not(loom)))]
mod fork {
    use std::sync::atomic::Ordering::Relaxed;
    use std::sync::atomic::{AtomicBool, AtomicU32};
    use std::sync::{Mutex, MutexGuard};
    use std::time::Duration;
    use std::{process, thread};

    /// The first process; 0 until it is noted.
    static PROCESS: AtomicU32 = AtomicU32::new(0);
    /// Set in a forked process in which a lock was given up.
    static HAS_GIVEN_UP: AtomicBool = AtomicBool::new(false);

    const NAPS: u32 = 400;
    const NAP: Duration = Duration::from_micros(100);

    pub(super) fn note() {
        // The first one stays.
        let _ = PROCESS.compare_exchange(0, process::id(), Relaxed, Relaxed);
    }

    pub(super) fn is_forked() -> bool {
        PROCESS.load(Relaxed) != process::id()
    }

    /// Waits a bounded time, since the lock may also be held by a thread of this process.
    pub(super) fn wait<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
        for _ in 0..NAPS {
            if HAS_GIVEN_UP.load(Relaxed) {
                break;
            }
            thread::sleep(NAP);
            if let Ok(guard) = mutex.try_lock() {
                return Some(guard);
            }
        }
        HAS_GIVEN_UP.store(true, Relaxed);
        None
    }
}
