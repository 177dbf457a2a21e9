//! The loader's list of modules is not read while the process is forked. glibc has a lock around it, which it does not
//! give back in the child if another thread held it at that moment: the child would wait for ever, also when it
//! unwinds or loads a library.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::thread;
use std::time::Duration;

static IS_READ: AtomicBool = AtomicBool::new(false);
static ARE_WATCHED: AtomicBool = AtomicBool::new(false);

/// Runs `read` while no other thread does so, and the process is not forked. Returns `None` without running it if
/// that can't be had for 100 ms, as in a process that was forked before forks were watched.
pub(super) fn between_forks<T>(read: impl FnOnce() -> T) -> Option<T> {
    if !take() {
        return None;
    }
    if !ARE_WATCHED.swap(true, Relaxed) {
        // SAFETY: the functions are of this program, and take no arguments. That there is no memory for the
        // registration leaves forks as dangerous as without it.
        unsafe { libc::pthread_atfork(Some(before), Some(after), Some(after)) };
    }
    let done = read();
    IS_READ.store(false, Release);
    Some(done)
}

fn take() -> bool {
    for attempt in 0..1100 {
        if !IS_READ.swap(true, Acquire) {
            return true;
        }
        if attempt < 1000 {
            thread::yield_now();
        } else {
            thread::sleep(Duration::from_millis(1));
        }
    }
    false
}

extern "C" fn before() {
    take();
}

extern "C" fn after() {
    IS_READ.store(false, Release);
}
