//! Locks that nobody waits for without end.

use std::sync::TryLockError;

use crate::sync::{Mutex, MutexGuard};

/// Held for a few instructions, a lock is free again long before so many looks at it.
const LOOKS: u32 = 10_000;

/// The lock; none where it is not given back, as in a process that was forked while another thread
/// held it. That thread does not exist there.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    if cfg!(loom) {
        return mutex.lock().ok();
    }
    for _ in 0..LOOKS {
        match mutex.try_lock() {
            Ok(guard) => return Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => std::thread::yield_now(),
        }
    }
    None
}
