//! A bounded queue in front of a thread: pushing never waits.

use std::collections::VecDeque;
use std::sync::{Condvar, OnceLock, PoisonError};
use std::thread::ThreadId;
use std::time::Instant;

use super::process_lock::ProcessLock;

/// A queue that is bounded in number and in bytes. An empty one takes an item of any size, since the
/// largest reports are worth as much as others.
pub(super) struct Queue<T> {
    contents: ProcessLock<Contents<T>>,
    /// The thread that takes.
    worker: OnceLock<ThreadId>,
    /// Something came, or the queue was closed.
    came: Condvar,
    /// Something is done.
    done: Condvar,
    most: usize,
    most_bytes: usize,
}

/// Why a queue does not take an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Full,
    Closed,
    NoMemory,
}

struct Contents<T> {
    waiting: VecDeque<(T, usize)>,
    bytes: usize,
    is_closed: bool,
    /// How many items ever came, and how many of them the thread has finished.
    came: u64,
    done: u64,
}

impl<T> Queue<T> {
    pub(super) fn new(most: usize, most_bytes: usize) -> Self {
        Self {
            contents: ProcessLock::new(Contents {
                waiting: VecDeque::new(),
                bytes: 0,
                is_closed: false,
                came: 0,
                done: 0,
            }),
            worker: OnceLock::new(),
            came: Condvar::new(),
            done: Condvar::new(),
            most,
            most_bytes,
        }
    }

    /// Adds an item. Returns it if the queue is full or closed, or if there is no memory.
    pub(super) fn push(&self, item: T, bytes: usize) -> Result<(), (T, Refusal)> {
        // Lost in a forked process, in which nobody takes anything.
        let Some(mut contents) = self.contents.take() else {
            return Err((item, Refusal::Closed));
        };
        let has_room = bytes <= self.most_bytes.saturating_sub(contents.bytes);
        let fits = contents.waiting.len() < self.most && (has_room || contents.bytes == 0);
        let refusal = if contents.is_closed {
            Some(Refusal::Closed)
        } else if !fits {
            Some(Refusal::Full)
        } else {
            let reserved = contents.waiting.try_reserve(1);
            reserved.err().map(|_| Refusal::NoMemory)
        };
        if let Some(refusal) = refusal {
            return Err((item, refusal));
        }
        contents.bytes += bytes;
        contents.came += 1;
        contents.waiting.push_back((item, bytes));
        drop(contents);
        self.came.notify_one();
        Ok(())
    }

    /// Hands one item after the other to `work`, until the queue is closed and empty.
    pub(super) fn each(&self, mut work: impl FnMut(T)) {
        let _ = self.worker.set(std::thread::current().id());
        let Some(mut contents) = self.contents.take() else {
            return;
        };
        loop {
            if let Some((item, bytes)) = contents.waiting.pop_front() {
                drop(contents);
                work(item);
                let Some(again) = self.contents.take() else {
                    return;
                };
                contents = again;
                // The item took its memory until now.
                contents.bytes -= bytes;
                contents.done += 1;
                self.done.notify_all();
            } else if contents.is_closed {
                return;
            } else {
                contents = self
                    .came
                    .wait(contents)
                    .unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    pub(super) fn close(&self) {
        if let Some(mut contents) = self.contents.take() {
            contents.is_closed = true;
        }
        self.came.notify_all();
    }

    /// Returns whether this thread is the one that takes.
    pub(super) fn is_worked_here(&self) -> bool {
        self.worker.get() == Some(&std::thread::current().id())
    }

    /// Waits until the thread has finished all items that have come until now. Returns `false` after the
    /// deadline, and at once if it is called on that thread.
    pub(super) fn wait(&self, deadline: Instant) -> bool {
        if self.is_worked_here() {
            return false;
        }
        let Some(contents) = self.contents.take() else {
            return false;
        };
        let until = contents.came;
        let left = deadline.saturating_duration_since(Instant::now());
        let is_missing = |contents: &mut Contents<T>| contents.done < until;
        let waited = self.done.wait_timeout_while(contents, left, is_missing);
        let (contents, _) = waited.unwrap_or_else(PoisonError::into_inner);
        contents.done >= until
    }

    /// Returns how many items wait, and how many bytes they take.
    pub(super) fn load(&self) -> (usize, usize) {
        let contents = self.contents.take();
        contents.map_or((0, 0), |contents| (contents.waiting.len(), contents.bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounded_in_number_and_in_bytes() {
        let queue = Queue::new(3, 10);
        assert_eq!(queue.push(1, 6), Ok(()));
        assert_eq!(queue.push(2, 5), Err((2, Refusal::Full)));
        assert_eq!(queue.push(3, 4), Ok(()));
        assert_eq!(queue.push(4, 0), Ok(()));
        assert_eq!(queue.push(5, 0), Err((5, Refusal::Full)));
        assert_eq!(queue.load(), (3, 10));
        assert!(!queue.wait(Instant::now()));
        queue.close();
        assert_eq!(queue.push(6, 0), Err((6, Refusal::Closed)));
        let mut taken = Vec::new();
        queue.each(|item| taken.push(item));
        assert_eq!((taken, queue.load()), (vec![1, 3, 4], (0, 0)));
        // It was this thread that took them.
        assert!(!queue.wait(Instant::now()));
        std::thread::scope(|it| it.spawn(|| assert!(queue.wait(Instant::now()))).join()).unwrap();
    }

    #[test]
    fn one_is_taken_of_whatever_size() {
        let queue = Queue::new(3, 10);
        assert_eq!(queue.push(1, 1000), Ok(()));
        assert_eq!(queue.push(2, 1), Err((2, Refusal::Full)));
        assert_eq!(queue.load(), (1, 1000));
    }
}
