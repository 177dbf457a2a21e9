//! Waiting for another thread that is in the middle of something short, but never without end.

use std::ops::{Deref, DerefMut};
use std::sync::TryLockError;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::primitives::sync::{AtomicU32, Mutex, MutexGuard, const_fn, spin_loop};

/// What is waited for takes some nanoseconds; so many looks are enough, but where the thread was
/// put off in the middle of it.
const LOOKS: u32 = 100;
/// Then it is given time to go on, that often; in a process that was forked in the middle of it, it
/// never will. Naps are counted rather than time, as time also passes while the whole process is
/// put off, and nobody could have gone on.
const NAPS: u32 = 400;
const NAP: Duration = Duration::from_micros(100);

/// How long one still waits.
pub(crate) struct Patience {
    attempts: u32,
}

impl Patience {
    pub(crate) const fn new() -> Self {
        Self { attempts: 0 }
    }

    /// Waits a little; `false` where it has been long enough.
    #[cold]
    pub(crate) fn again(&mut self) -> bool {
        self.attempts += 1;
        if cfg!(loom) || self.attempts <= LOOKS {
            spin_loop();
            // A model's next attempt is another execution.
            return !cfg!(loom);
        }
        // Not only giving way: several that wait so would keep the one that is waited for from running.
        std::thread::sleep(NAP);
        self.attempts <= LOOKS + NAPS
    }
}

/// A lock that is given up where nobody gives it back.
pub(crate) struct Lock<T> {
    inner: Mutex<T>,
    /// How often it was given back: who finds it taken waits on while others take turns with it.
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

    /// None where it is not given back.
    pub(crate) fn take(&self) -> Option<Taken<'_, T>> {
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

/// The lock is taken until this is dropped.
pub(crate) struct Taken<'a, T> {
    guard: MutexGuard<'a, T>,
    turns: &'a AtomicU32,
}

impl<T> Taken<'_, T> {
    /// Who waits for the lock waits on, as if it had been given back.
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
    /// Still under the lock, so nobody else writes there.
    fn drop(&mut self) {
        self.note_turn();
    }
}
