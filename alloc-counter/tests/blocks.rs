//! The blocks that code allocates are followed until they are freed. The inner allocator can refuse requests.

use std::alloc::{GlobalAlloc, Layout, System, alloc, alloc_zeroed, dealloc, realloc};
use std::hint::black_box;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use alloc_counter::{Blocks, BlocksKey, Counting, exclude, include, measure, process};

#[global_allocator]
static ALLOCATOR: Counting<Refusing> = Counting::new(Refusing(AtomicUsize::new(usize::MAX)));

/// Refuses requests of this size and more.
struct Refusing(AtomicUsize);

// SAFETY: every request is refused or goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Refusing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() >= self.0.load(Relaxed) {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller upholds `GlobalAlloc::alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if new_size >= self.0.load(Relaxed) {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller upholds `GlobalAlloc::realloc`.
        unsafe { System.realloc(block, layout, new_size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller upholds `GlobalAlloc::dealloc`.
        unsafe { System.dealloc(block, layout) }
    }
}

fn main() {
    blocks_are_followed_from_entering_to_leaving();
    all_operations_are_followed();
    a_refused_reallocation_leaves_the_block_as_it_was();
    without_memory_for_the_table_it_is_not_known_what_is_kept();
    excluded_memory_is_not_followed_but_what_is_freed_there_is_freed();
    the_tables_memory_is_overhead_and_is_given_back();
    a_thread_enters_sixteen_keys();
    keys_that_were_never_left_make_room_once_they_have_ended();
    there_are_a_hundred_and_twenty_eight_at_once();
    numbers_that_are_no_keys_are_ignored();
    a_wait_ends_with_the_last_block_or_the_time();
    threads_that_allocate_move_and_free_at_once_lose_nothing();
    println!("test result: ok. 12 passed; 0 failed");
}

fn bytes(size: usize) -> Vec<u8> {
    black_box(Vec::with_capacity(black_box(size)))
}

fn kept(blocks: &Blocks) -> String {
    blocks
        .kept()
        .map_or("not known".to_owned(), |it| it.to_string())
}

/// Runs `work` while requests of this size and more are refused.
fn refusing<T>(size: usize, work: impl FnOnce() -> T) -> T {
    ALLOCATOR.inner().0.store(size, Relaxed);
    let value = work();
    ALLOCATOR.inner().0.store(usize::MAX, Relaxed);
    value
}

fn blocks_are_followed_from_entering_to_leaving() {
    let blocks = Blocks::follow();
    let key = blocks.key();
    let before = bytes(1);
    key.enter();
    let first = bytes(10);
    key.enter();
    let second = bytes(20);
    key.leave();
    let third = bytes(20);
    key.leave();
    key.leave();
    let after = bytes(1000);
    assert_eq!(kept(&blocks), "3 blocks, 50 bytes: 2 of 20, 1 of 10");
    drop((before, after, second));
    assert_eq!(kept(&blocks), "2 blocks, 30 bytes: 1 of 20, 1 of 10");
    assert!(!blocks.is_settled());
    drop((first, third));
    assert!(blocks.is_settled());
    assert_eq!(kept(&blocks), "0 blocks, 0 bytes");
}

fn all_operations_are_followed() {
    let blocks = Blocks::follow();
    let layout = Layout::from_size_align(100, 64).unwrap();
    let grown = Layout::from_size_align(5000, 64).unwrap();
    blocks.on_this_thread(|| {
        // SAFETY: the layouts are those with which the blocks were requested, and no size is zero.
        unsafe {
            let zeroed = black_box(alloc_zeroed(layout));
            assert_eq!(kept(&blocks), "1 block, 100 bytes: 1 of 100");
            let plain = black_box(alloc(layout));
            let plain = black_box(realloc(plain, layout, 5000));
            assert_eq!(kept(&blocks), "2 blocks, 5100 bytes: 1 of 5000, 1 of 100");
            let plain = black_box(realloc(plain, grown, 100));
            assert_eq!(kept(&blocks), "2 blocks, 200 bytes: 2 of 100");
            dealloc(zeroed, layout);
            dealloc(plain, layout);
        }
    });
    assert_eq!(kept(&blocks), "0 blocks, 0 bytes");
}

fn a_refused_reallocation_leaves_the_block_as_it_was() {
    let blocks = Blocks::follow();
    blocks.on_this_thread(|| {
        let mut block = bytes(100);
        let is_refused = refusing(4000, || block.try_reserve_exact(5000).is_err());
        assert!(is_refused);
        assert_eq!(kept(&blocks), "1 block, 100 bytes: 1 of 100");
    });
    assert_eq!(kept(&blocks), "0 blocks, 0 bytes");
}

fn without_memory_for_the_table_it_is_not_known_what_is_kept() {
    let blocks = Blocks::follow();
    refusing(64, || {
        blocks.on_this_thread(|| {
            for _ in 0..1000 {
                drop(bytes(10));
            }
        });
    });
    assert_eq!(blocks.kept(), None);
    // Waiting is of no use.
    assert!(blocks.is_settled());
    drop(blocks);
    let next = Blocks::follow();
    next.on_this_thread(|| drop(bytes(10)));
    assert_eq!(kept(&next), "0 blocks, 0 bytes");
}

fn excluded_memory_is_not_followed_but_what_is_freed_there_is_freed() {
    let blocks = Blocks::follow();
    blocks.on_this_thread(|| {
        let excluded = exclude(|| bytes(10));
        let included = exclude(|| include(|| bytes(20)));
        let programs = bytes(30);
        assert_eq!(kept(&blocks), "2 blocks, 50 bytes: 1 of 30, 1 of 20");
        exclude(|| drop(programs));
        drop((excluded, included));
    });
    assert_eq!(kept(&blocks), "0 blocks, 0 bytes");
}

fn the_tables_memory_is_overhead_and_is_given_back() {
    let overhead = || process().unwrap().overhead.net_bytes();
    let before = overhead();
    let blocks = Blocks::follow();
    let measured = measure(|| {
        blocks.on_this_thread(|| {
            let many: Vec<_> = (0..10_000).map(|_| Box::new(black_box(1_u8))).collect();
            let per_block = (overhead() - before) / 10_000;
            assert!((33..=100).contains(&per_block), "{per_block}");
            drop(black_box(many));
        });
    });
    assert_eq!(measured.counts.unwrap().allocates(), 10_001);
    drop(blocks);
    assert_eq!(overhead(), before);
}

fn a_thread_enters_sixteen_keys() {
    let many: Vec<_> = (0..17).map(|_| Blocks::follow()).collect();
    for it in &many {
        it.key().enter();
    }
    let block = bytes(5);
    for it in &many {
        it.key().leave();
    }
    let told: Vec<_> = many.iter().map(kept).collect();
    assert_eq!(told[..16], ["1 block, 5 bytes: 1 of 5"; 16]);
    assert_eq!(told[16], "not known");
    drop(block);
    assert!(many.iter().all(Blocks::is_settled));
}

fn keys_that_were_never_left_make_room_once_they_have_ended() {
    let told = thread::spawn(|| {
        for _ in 0..100 {
            Blocks::follow().key().enter();
        }
        let blocks = Blocks::follow();
        let block = blocks.on_this_thread(|| bytes(5));
        let told = kept(&blocks);
        drop(block);
        told
    });
    assert_eq!(told.join().unwrap(), "1 block, 5 bytes: 1 of 5");
}

fn there_are_a_hundred_and_twenty_eight_at_once() {
    let many: Vec<_> = (0..130).map(|_| Blocks::follow()).collect();
    let (are, none): (Vec<_>, Vec<_>) = many.iter().partition(|it| it.key() != BlocksKey::NONE);
    assert_eq!((are.len(), none.len()), (128, 2));
    assert!(none.iter().all(|it| it.kept().is_none() && it.is_settled()));
    assert_eq!(kept(are[127]), "0 blocks, 0 bytes");
    drop(many);
    assert_ne!(Blocks::follow().key(), BlocksKey::NONE);
}

fn numbers_that_are_no_keys_are_ignored() {
    for bits in [0, 1, 127, 128, u64::MAX] {
        let key = BlocksKey::from_bits(bits);
        key.lose();
        key.enter();
        drop(bytes(1));
        key.leave();
    }
    let ended = {
        let blocks = Blocks::follow();
        blocks.key()
    };
    ended.enter();
    let next = Blocks::follow();
    let block = bytes(1);
    ended.leave();
    ended.lose();
    assert_eq!(kept(&next), "0 blocks, 0 bytes");
    drop(block);
}

fn a_wait_ends_with_the_last_block_or_the_time() {
    let blocks = Blocks::follow();
    let block = blocks.on_this_thread(|| bytes(10));
    blocks.wait(Duration::from_millis(1));
    assert!(!blocks.is_settled());
    let frees = thread::spawn(|| {
        thread::sleep(Duration::from_millis(5));
        drop(block);
    });
    blocks.wait(Duration::MAX);
    assert!(blocks.is_settled());
    frees.join().unwrap();
}

fn threads_that_allocate_move_and_free_at_once_lose_nothing() {
    let queue = Mutex::new(Vec::with_capacity(1000));
    let all = Blocks::follow();
    thread::scope(|threads| {
        for seed in 1..=4_usize {
            let (queue, all) = (&queue, &all);
            threads.spawn(move || {
                let mine = Blocks::follow();
                let mut state = seed;
                for _ in 0..20_000 {
                    state = state
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1);
                    let chance = state >> 40;
                    let size = chance % 500 + 1;
                    let taken = { queue.lock().unwrap() }.pop();
                    let block = match taken {
                        Some(mut block) if chance % 3 == 0 => {
                            all.on_this_thread(|| Vec::reserve_exact(&mut block, size));
                            Some(block)
                        }
                        Some(_) => None,
                        None => Some(all.on_this_thread(|| mine.on_this_thread(|| bytes(size)))),
                    };
                    let more = all.on_this_thread(|| bytes(size));
                    let mut queue = queue.lock().unwrap();
                    queue.extend(block);
                    if queue.len() < 900 {
                        queue.push(more);
                    }
                }
            });
        }
    });
    let left = queue.into_inner().unwrap();
    let kept = all.kept().unwrap();
    let sizes = left.iter().map(|it| it.capacity() as u64);
    assert_eq!((kept.blocks, kept.bytes), (left.len() as u64, sizes.sum()));
    drop(left);
    assert!(all.is_settled());
}
