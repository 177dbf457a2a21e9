//! The loader's list of modules is not read while the process is forked. glibc has a lock around it, which it does not
//! give back in the child if another thread held it at that moment: the child would wait for ever, also when it
//! unwinds or loads a library.

use std::cell::Cell;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::thread;
use std::time::Duration;

static IS_READ: AtomicBool = AtomicBool::new(false);
static ARE_WATCHED: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// Whether this thread took the list to fork.
    static FORKS: Cell<bool> = const { Cell::new(false) };
}

/// How long a reader waits for another one, in milliseconds.
const READER_WAITS: u32 = 100;
/// How long a fork waits for a reader. That needs less than a millisecond of a processor, but one of low priority can
/// wait long for it. There is an end because an allocator that has stopped for the fork could stop the reader, too.
const FORK_WAITS: u32 = 10_000;

/// Runs `read` while no other thread does so, and the process is not forked. Returns `None` without running it if
/// that can't be had for 100 ms, as in a process that was forked before forks were watched.
pub(super) fn between_forks<T>(read: impl FnOnce() -> T) -> Option<T> {
    if !take(READER_WAITS) {
        return None;
    }
    let done = are_watched().then(read);
    IS_READ.store(false, Release);
    done
}

/// Has forks wait for readers from now on. Returns `false` if there is no memory for that. Only who took the list
/// calls it.
fn are_watched() -> bool {
    if !ARE_WATCHED.load(Relaxed) {
        // SAFETY: the functions are of this program, and take no arguments.
        let failed = unsafe { libc::pthread_atfork(Some(before), Some(after), Some(after)) };
        ARE_WATCHED.store(failed == 0, Relaxed);
    }
    ARE_WATCHED.load(Relaxed)
}

fn take(milliseconds: u32) -> bool {
    for attempt in 0..1000 + milliseconds {
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
    FORKS.set(take(FORK_WAITS));
}

/// Gives the list back, in the parent and in the child. If it was not had, a reader has it still; in the child for
/// ever, where nobody reads it then.
extern "C" fn after() {
    if FORKS.replace(false) {
        IS_READ.store(false, Release);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Longer than a reader would wait for another one: it has no processor meanwhile.
    #[test]
    fn a_fork_waits_for_a_slow_reader() {
        static IS_DONE: AtomicBool = AtomicBool::new(false);
        let (begins, begun) = mpsc::channel();
        let reader = thread::spawn(move || {
            between_forks(|| {
                begins.send(()).unwrap();
                thread::sleep(Duration::from_millis(u64::from(3 * READER_WAITS)));
                IS_DONE.store(true, Relaxed);
            })
        });
        begun.recv().unwrap();
        // SAFETY: the child calls nothing but what it may: a fork's handlers, atomics and `_exit`.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let is_right = IS_DONE.load(Relaxed) && between_forks(|| ()).is_some();
            // SAFETY: it takes a number, and ends the process.
            unsafe { libc::_exit(i32::from(!is_right)) };
        }
        let mut status = -1;
        // SAFETY: the status is a number of this function's.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert_eq!(status, 0);
        assert_eq!(reader.join().unwrap(), Some(()));
        assert_eq!(between_forks(|| 7), Some(7));
    }
}
