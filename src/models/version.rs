//! Versions: words that change together.

use std::sync::atomic::Ordering::Relaxed;

use loom::thread;

use super::{explore, leak};
use crate::primitives::seqlock::Version;
use crate::primitives::sync::AtomicU64;

struct Words {
    version: Version,
    words: [AtomicU64; 2],
}

#[test]
fn words_are_read_before_or_after_a_change() {
    explore(2, || {
        let shared = leak(Words {
            version: Version::new(),
            words: [AtomicU64::new(0), AtomicU64::new(0)],
        });
        let load = || shared.words.each_ref().map(|word| word.load(Relaxed));
        let reader = thread::spawn(move || {
            if let Some((words, version)) = shared.version.read(load) {
                assert!(matches!((words, version), ([0, 0], 0) | ([1, 1], 2)));
            }
        });
        shared.version.change(|| {
            for word in &shared.words {
                word.store(1, Relaxed);
            }
        });
        reader.join().unwrap();
        assert_eq!(load(), [1, 1]);
    });
}
