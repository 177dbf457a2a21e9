//! Models of the table of live blocks, in which a place goes from one key to the next while threads note and move
//! blocks of the first.

use std::iter::{empty, once};

use loom::sync::Arc;
use loom::thread::{self, JoinHandle};

use crate::model::explore;

use super::kept::Kept;
use super::key::BlocksKey;
use super::table::Table;

/// In different shards of the two.
const HERE: usize = 16;
const THERE: usize = 48;

fn begin(table: &Table) -> BlocksKey {
    table.begin(empty()).unwrap()
}

fn kept(table: &Table, key: BlocksKey) -> Kept {
    table.kept(key).unwrap()
}

/// Returns the number of blocks that are kept, and their bytes.
fn figures(table: &Table, key: BlocksKey) -> (u64, u64) {
    let kept = kept(table, key);
    (kept.blocks, kept.bytes)
}

/// Returns a table with a key, which has a block of 5 bytes.
fn with_a_block() -> (Arc<Table>, BlocksKey) {
    let table = Arc::new(Table::new());
    let key = begin(&table);
    table.note(HERE, 5, once(key));
    (table, key)
}

fn spawn(table: &Arc<Table>, work: impl FnOnce(&Table) + 'static) -> JoinHandle<()> {
    let table = Arc::clone(table);
    thread::spawn(move || work(&table))
}

/// Ends a key while `work` notes blocks of it on another thread, and gives its place to another key.
fn end_during(work: fn(&Table, BlocksKey)) {
    let table = Arc::new(Table::new());
    let first = begin(&table);
    let other = spawn(&table, move |table| work(table, first));
    table.end(first);
    let second = begin(&table);
    assert_eq!(kept(&table, second), Kept::default());
    other.join().unwrap();
    assert!(table.is_settled(second));
    assert_eq!(kept(&table, second), Kept::default());
    table.note(HERE, 7, once(second));
    assert_eq!(figures(&table, second), (1, 7));
    assert!(!table.is_running(first));
    table.end(second);
    assert!(!table.is_in_use());
}

#[test]
fn the_addresses_are_in_different_shards() {
    assert_ne!(Table::shard_of(HERE), Table::shard_of(THERE));
}

#[test]
fn the_next_key_of_a_place_has_none_of_the_blocks_of_the_last() {
    explore(3, || {
        end_during(|table, key| table.note(HERE, 5, once(key)));
    });
}

#[test]
fn a_block_that_moves_while_its_key_ends_is_not_the_next_ones() {
    explore(3, || {
        end_during(|table, key| {
            table.note(HERE, 5, once(key));
            let moving = table.begin_move(HERE);
            table.end_move(&moving, THERE, 6, Some(once(key)));
        });
    });
}

#[test]
fn a_block_that_is_freed_while_its_key_ends_is_not_subtracted_from_the_next() {
    explore(3, || {
        end_during(|table, key| {
            table.note(HERE, 5, once(key));
            table.take_out(HERE);
        });
    });
}

/// As a task that makes a block, after which its own is freed: nothing seems to be freed in between.
#[test]
fn a_block_is_live_while_it_moves() {
    explore(3, || {
        let (table, key) = with_a_block();
        let task = spawn(&table, move |table| {
            let moving = table.begin_move(HERE);
            // The address is used again, by a thread of which nothing is followed.
            table.note(HERE, 1, empty());
            table.end_move(&moving, THERE, 6, Some(once(key)));
            table.take_out(HERE);
        });
        assert!(!table.is_settled(key));
        let seen = kept(&table, key);
        assert_eq!(seen.blocks, 1);
        assert!([5, 6].contains(&seen.bytes), "{seen}");
        task.join().unwrap();
        assert_eq!(figures(&table, key), (1, 6));
        table.take_out(THERE);
        assert!(table.is_settled(key));
        table.end(key);
    });
}

/// The first block is freed only after the second was allocated.
#[test]
fn nothing_is_settled_before_the_last_block_is_freed() {
    explore(3, || {
        let (table, key) = with_a_block();
        let task = spawn(&table, move |table| {
            table.note(THERE, 100, once(key));
            table.take_out(HERE);
        });
        assert!(!table.is_settled(key));
        assert!(kept(&table, key).blocks > 0);
        task.join().unwrap();
        assert_eq!(figures(&table, key), (1, 100));
        table.end(key);
    });
}

#[test]
fn blocks_of_an_inner_key_are_the_outer_ones_until_that_ends() {
    explore(3, || {
        let table = Arc::new(Table::new());
        let outer = begin(&table);
        let inner = table.begin(once(outer)).unwrap();
        let task = spawn(&table, move |table| table.note(HERE, 5, once(inner)));
        table.end(outer);
        let next = begin(&table);
        assert!(table.is_settled(next));
        task.join().unwrap();
        assert_eq!(kept(&table, next).blocks, 0);
        assert_eq!(kept(&table, inner).blocks, 1);
        table.take_out(HERE);
        assert!(table.is_settled(inner));
        assert!(table.is_settled(next));
    });
}
