//! Sequence locks: words that change together.

use std::sync::atomic::Ordering::Relaxed;

use loom::thread;

use super::{explore, leak};
use crate::primitives::seqlock::SeqLock;
use crate::primitives::sync::AtomicU64;

const STEP: u32 = 1 << 4;
const FORM: u32 = 1;
const MARK: u32 = 2;

struct Shared {
    lock: SeqLock<STEP>,
    words: [AtomicU64; 2],
}

impl Shared {
    fn new() -> &'static Self {
        leak(Self {
            lock: SeqLock::new(),
            words: [AtomicU64::new(0), AtomicU64::new(0)],
        })
    }

    fn load(&self) -> [u64; 2] {
        self.words.each_ref().map(|word| word.load(Relaxed))
    }

    fn store(&self, value: u64) {
        for word in &self.words {
            word.store(value, Relaxed);
        }
    }
}

#[test]
fn words_are_read_before_or_after_a_change() {
    explore(2, || {
        let shared = Shared::new();
        let reader = thread::spawn(move || {
            if let Ok((words, version)) = shared.lock.read(|_| shared.load()) {
                let version = version / STEP;
                assert!(matches!((words, version), ([0, 0], 0) | ([1, 1], 2)));
            }
        });
        shared.lock.change(|| shared.store(1));
        reader.join().unwrap();
        assert_eq!(shared.load(), [1, 1]);
    });
}

/// The bits beside the version change with the words, and are kept by a mark after that.
#[test]
fn the_bits_beside_the_version_tell_which_words_are_read() {
    explore(2, || {
        let shared = Shared::new();
        let reader = thread::spawn(move || {
            if let Ok((words, word)) = shared.lock.read(|_| shared.load()) {
                let expected = u64::from(word & FORM);
                assert_eq!(words, [expected; 2]);
            }
        });
        shared.lock.change_to(FORM, || shared.store(1));
        shared.lock.mark(shared.lock.word() | MARK);
        reader.join().unwrap();
        assert_eq!(shared.lock.word(), 2 * STEP + FORM + MARK);
    });
}
