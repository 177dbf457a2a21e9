//! The table of ids: nothing is lost, and nobody finds what belongs to another id.

use loom::thread;

use super::{explore, leak};
use crate::primitives::table::Table;

/// Two threads use one place, that of both ids, and the next level.
#[test]
fn two_threads_find_their_own() {
    explore(3, || {
        let table = leak(Table::new());
        let other = thread::spawn(|| {
            assert!(table.insert(1, leak(10)));
            assert_eq!(table.get(1).copied(), Some(10));
            assert_eq!(table.remove(1).copied(), Some(10));
            assert!(table.get(1).is_none());
        });
        assert!(table.insert(3, leak(20)));
        assert!(table.get(1).is_none_or(|member| *member == 10));
        assert_eq!(table.get(3).copied(), Some(20));
        other.join().unwrap();
        assert!(table.get(1).is_none() && table.has(3));
        assert_eq!(table.remove(3).copied(), Some(20));
    });
}

/// A member that is handed to another thread is found there.
#[test]
fn what_is_handed_over_is_found() {
    explore(3, || {
        let table = leak(Table::new());
        assert!(table.insert(1, leak(10)));
        let other = thread::spawn(|| {
            assert_eq!(table.get(1).copied(), Some(10));
            table.remove(1).copied()
        });
        assert!(table.insert(3, leak(20)));
        assert_eq!(other.join().unwrap(), Some(10));
        assert_eq!(table.get(3).copied(), Some(20));
    });
}
