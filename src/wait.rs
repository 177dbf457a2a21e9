//! Waiting for another thread that is in the middle of something short, but never without end.

use std::sync::TryLockError;
use std::time::{Duration, Instant};

use crate::sync::{Mutex, MutexGuard, spin_loop};

/// What is waited for takes some nanoseconds; so many looks are enough, but where the thread was
/// put off in the middle of it.
const LOOKS: u32 = 100;
/// Then it is given time to go on. In a process that was forked in the middle of it, it never will.
const LIMIT: Duration = Duration::from_millis(50);

/// How long one still waits.
pub(crate) struct Patience {
    looks: u32,
    since: Option<Instant>,
}

impl Patience {
    pub(crate) const fn new() -> Self {
        Self {
            looks: 0,
            since: None,
        }
    }

    /// Waits a little; `false` where it has been long enough.
    #[cold]
    pub(crate) fn again(&mut self) -> bool {
        if cfg!(loom) || self.looks < LOOKS {
            self.looks += 1;
            spin_loop();
            // A model's next attempt is another execution.
            return !cfg!(loom);
        }
        let since = *self.since.get_or_insert_with(Instant::now);
        std::thread::yield_now();
        since.elapsed() < LIMIT
    }
}

/// The lock; none where it is not given back.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    if cfg!(loom) {
        return mutex.lock().ok();
    }
    let mut patience = Patience::new();
    loop {
        match mutex.try_lock() {
            Ok(guard) => return Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => {}
        }
        if !patience.again() {
            return None;
        }
    }
}
