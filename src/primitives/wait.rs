//! Bounded waiting for another thread that is in the middle of a short operation.

use std::ops::{Deref, DerefMut};
use std::sync::TryLockError;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::primitives::sync::{AtomicU32, Mutex, MutexGuard, const_fn, spin_loop};

/// The operation takes some nanoseconds, so this many looks are enough unless its thread was preempted
/// in the middle of it.
const LOOKS: u32 = 100;
/// The most naps after that, which give the thread time to go on. In a process that was forked in the
/// middle of the operation, it never will. Naps are counted and not time, since time also passes while
/// the whole process is stopped and no thread can go on.
const NAPS: u32 = 400;
const NAP: Duration = Duration::from_micros(100);

/// A bounded number of attempts.
pub(crate) struct Patience {
    attempts: u32,
}

impl Patience {
    pub(crate) const fn new() -> Self {
        Self { attempts: 0 }
    }

    /// Waits a little; `false` if it has waited long enough.
    #[cold]
    pub(crate) fn again(&mut self) -> bool {
        self.attempts += 1;
        if cfg!(loom) || self.attempts <= LOOKS {
            spin_loop();
            // In a model, the next attempt is another execution.
            return !cfg!(loom);
        }
        // Not `yield_now`: several threads that wait in that way would keep the other one from running.
        std::thread::sleep(NAP);
        self.attempts <= LOOKS + NAPS
    }
}

/// A lock that a taker gives up if it is never unlocked.
pub(crate) struct Lock<T> {
    inner: Mutex<T>,
    /// How often it was unlocked: a waiting thread goes on waiting while others take turns.
    turns: AtomicU32,
}

impl<T> Lock<T> {
    const_fn! {
        pub(crate) const fn new(value: T) -> Self {
            Self {
                inner: Mutex::new(value),
                turns: AtomicU32::new(0),
            }
        }
    }

    /// Takes the lock; `None` if it is not unlocked within a bounded time.
    #[inline]
    pub(crate) fn take(&self) -> Option<Taken<'_, T>> {
        if !cfg!(loom)
            && let Ok(guard) = self.inner.try_lock()
        {
            let turns = &self.turns;
            return Some(Taken { guard, turns });
        }
        self.wait()
    }

    #[cold]
    fn wait(&self) -> Option<Taken<'_, T>> {
        let turns = &self.turns;
        if cfg!(loom) {
            let guard = self.inner.lock().ok()?;
            return Some(Taken { guard, turns });
        }
        let mut patience = Patience::new();
        let mut seen = turns.load(Relaxed);
        loop {
            match self.inner.try_lock() {
                Ok(guard) => return Some(Taken { guard, turns }),
                Err(TryLockError::Poisoned(poisoned)) => {
                    let guard = poisoned.into_inner();
                    return Some(Taken { guard, turns });
                }
                Err(TryLockError::WouldBlock) => {}
            }
            if !patience.again() {
                let now = turns.load(Relaxed);
                if now == seen {
                    return None;
                }
                seen = now;
                patience = Patience::new();
            }
        }
    }
}

/// Guard of a taken lock.
pub(crate) struct Taken<'a, T> {
    guard: MutexGuard<'a, T>,
    turns: &'a AtomicU32,
}

impl<T> Taken<'_, T> {
    /// Counts as a turn, so that waiting threads go on waiting.
    pub(crate) fn note_turn(&self) {
        let turns = self.turns.load(Relaxed);
        self.turns.store(turns.wrapping_add(1), Relaxed);
    }
}

impl<T> Deref for Taken<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> DerefMut for Taken<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

impl<T> Drop for Taken<'_, T> {
    /// Runs still under the lock, so no other thread writes the counter.
    fn drop(&mut self) {
        self.note_turn();
    }
}
