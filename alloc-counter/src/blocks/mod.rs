//! The live blocks of a stretch of code: noted when they are allocated, taken out when they are freed, on whatever
//! thread.

mod kept;
mod key;
mod lock;
mod map;
#[cfg(all(loom, test))]
mod models;
mod table;

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::hot::{self, Whose};
use crate::overhead::exclude;
use crate::sync::shared_static;

use table::{Moving, Table};

pub use kept::Kept;
pub use key::BlocksKey;

shared_static! {
    static TABLE: Table = Table::new();
}

/// The most keys that a thread has entered at once.
const MOST_ENTERED: usize = 16;

/// What a thread is in the middle of.
struct Here {
    /// The table is being changed: what the change allocates and frees is the table's own.
    is_busy: Cell<bool>,
    /// Entered keys, and how many times, in no order.
    entered: [Cell<(BlocksKey, u32)>; MOST_ENTERED],
    len: Cell<usize>,
}

// Without a destructor, so that it can be read at any time of a thread's life.
thread_local! {
    static HERE: Here = const {
        Here {
            is_busy: Cell::new(false),
            entered: [const { Cell::new((BlocksKey::NONE, 0)) }; MOST_ENTERED],
            len: Cell::new(0),
        }
    };
}

impl Here {
    fn entered(&self) -> &[Cell<(BlocksKey, u32)>] {
        &self.entered[..self.len.get()]
    }

    fn keys(&self) -> impl Iterator<Item = BlocksKey> {
        self.entered().iter().map(|it| it.get().0)
    }

    fn position(&self, key: BlocksKey) -> Option<usize> {
        self.keys().position(|it| it == key)
    }

    fn remove(&self, at: usize) {
        let last = self.len.get() - 1;
        self.entered[at].swap(&self.entered[last]);
        self.len.set(last);
    }

    fn enter(&self, key: BlocksKey) {
        if let Some(at) = self.position(key) {
            let (key, times) = self.entered[at].get();
            return self.entered[at].set((key, times.saturating_add(1)));
        }
        if self.len.get() == MOST_ENTERED {
            // Those of guards that were leaked.
            for at in (0..MOST_ENTERED).rev() {
                if !TABLE.is_running(self.entered[at].get().0) {
                    self.remove(at);
                }
            }
        }
        match self.entered.get(self.len.get()) {
            Some(free) => {
                free.set((key, 1));
                self.len.set(self.len.get() + 1);
            }
            None => TABLE.lose(key),
        }
    }

    fn leave(&self, key: BlocksKey) {
        if let Some(at) = self.position(key) {
            let (key, times) = self.entered[at].get();
            match times {
                0 | 1 => self.remove(at),
                _ => self.entered[at].set((key, times - 1)),
            }
        }
    }
}

/// Changes the table; `None` if this runs in itself.
fn change<T>(change: impl FnOnce(&Here) -> T) -> Option<T> {
    HERE.with(|here| {
        if here.is_busy.replace(true) {
            return None;
        }
        let changed = exclude(|| change(here));
        here.is_busy.set(false);
        Some(changed)
    })
}

/// Returns whether there is anything to note or to take out. The only cost while nothing is followed.
#[inline(always)]
#[expect(clippy::inline_always, reason = "the path of every allocation")]
pub(crate) fn are_followed() -> bool {
    TABLE.is_in_use()
}

/// Notes a block that this thread has allocated.
#[cold]
#[inline(never)]
pub(crate) fn note(block: *mut u8, size: usize) {
    if hot::whose() == Whose::Programs && HERE.with(|here| here.len.get() > 0) {
        change(|here| TABLE.note(block.addr(), size, here.keys()));
    }
}

/// Takes out a block that is about to be freed.
#[cold]
#[inline(never)]
pub(crate) fn take_out(block: *mut u8) {
    change(|_| TABLE.take_out(block.addr()));
}

/// A block that is about to be reallocated.
pub(crate) struct Move(Moving);

impl Move {
    #[inline]
    pub(crate) fn begin(block: *mut u8) -> Self {
        Self(if are_followed() {
            begin_move(block)
        } else {
            Moving::NONE
        })
    }

    /// Notes where it is now, and its sizes before and now.
    #[inline]
    pub(crate) fn end(&self, block: *mut u8, from: usize, to: usize) {
        if are_followed() {
            end_move(&self.0, block, from, to);
        }
    }
}

#[cold]
#[inline(never)]
fn begin_move(block: *mut u8) -> Moving {
    change(|_| TABLE.begin_move(block.addr())).unwrap_or(Moving::NONE)
}

#[cold]
#[inline(never)]
fn end_move(moving: &Moving, block: *mut u8, from: usize, to: usize) {
    let is_programs = hot::whose() == Whose::Programs;
    let has_grown = to > from && is_programs && HERE.with(|here| here.len.get() > 0);
    if has_grown || !moving.is_none() {
        change(|here| {
            let entered = has_grown.then(|| here.keys());
            TABLE.end_move(moving, block.addr(), to, entered);
        });
    }
}

impl BlocksKey {
    /// Follows what this thread allocates from now on, until it has [left](Self::leave) as many times. Nothing
    /// happens if the key has ended.
    ///
    /// A thread can have entered 16 keys at once; of any further one, it is not known any more what was kept.
    #[inline]
    pub fn enter(self) {
        if self != Self::NONE {
            HERE.with(|here| here.enter(self));
        }
    }

    /// Ends what [`enter`](Self::enter) has begun.
    #[inline]
    pub fn leave(self) {
        if self != Self::NONE {
            HERE.with(|here| here.leave(self));
        }
    }

    /// Notes that something was not followed that should have been: it is not known any more what was kept.
    pub fn lose(self) {
        TABLE.lose(self);
    }
}

/// Follows the blocks that a stretch of code allocates, until they are freed.
///
/// The blocks are those that a thread allocates, or makes larger, while it has [entered](BlocksKey::enter) the key.
/// They may be freed or moved by any thread, at any time until this is dropped. Those of one that is made inside of
/// another, on a thread that has entered that one, belong to both.
///
/// The crate `tracer` makes `Budget::balanced` of it. The [`Budget`](crate::Budget) of this crate compares sums.
///
/// Cost: while there is any, about 0.1 µs for each operation of every thread in the process, or 2 µs if this crate is
/// compiled without optimisation, and 33 to 66 bytes for each live block that is followed, which are overhead. At most
/// 128 exist at once, and each follows up to 1,048,576 live blocks. Beyond that, or if memory for the table runs out, it
/// is not known what was kept.
///
/// ```
/// # #[global_allocator] static A: alloc_counter::Counting = alloc_counter::Counting::system();
/// use alloc_counter::Blocks;
///
/// let blocks = Blocks::follow();
/// let text = blocks.on_this_thread(|| std::hint::black_box("x".repeat(100)));
/// assert_eq!(blocks.kept().unwrap().to_string(), "1 block, 100 bytes: 1 of 100");
/// std::thread::spawn(|| drop(text)).join().unwrap();
/// assert_eq!(blocks.kept().unwrap().blocks, 0);
/// ```
#[derive(Debug)]
#[must_use = "nothing is followed any more once it is dropped"]
pub struct Blocks(BlocksKey);

impl Blocks {
    /// Begins. Nothing is followed before a thread enters the key.
    pub fn follow() -> Self {
        lock::note_process();
        let begun = change(|here| TABLE.begin(here.keys()));
        Self(begun.flatten().unwrap_or(BlocksKey::NONE))
    }

    /// Returns the key by which threads enter; [`BlocksKey::NONE`] if there are too many already.
    pub fn key(&self) -> BlocksKey {
        self.0
    }

    /// Runs `work` on this thread, and follows what it allocates here.
    pub fn on_this_thread<T>(&self, work: impl FnOnce() -> T) -> T {
        struct Entered(BlocksKey);
        impl Drop for Entered {
            fn drop(&mut self) {
                self.0.leave();
            }
        }
        self.0.enter();
        let _entered = Entered(self.0);
        work()
    }

    /// Returns whether all blocks have been freed, or waiting for that is of no use.
    #[inline]
    pub fn is_settled(&self) -> bool {
        TABLE.is_settled(self.0)
    }

    /// Waits until all blocks have been freed, at most so long.
    pub fn wait(&self, at_most: Duration) {
        const LOOKS: u32 = 100;
        const NAP: Duration = Duration::from_micros(100);
        let mut looks = 0;
        let mut begun = None;
        while !self.is_settled() {
            let begun = *begun.get_or_insert_with(Instant::now);
            if begun.elapsed() >= at_most {
                break;
            }
            looks += 1;
            if looks <= LOOKS {
                std::thread::yield_now();
            } else {
                std::thread::sleep(NAP);
            }
        }
    }

    /// Returns the blocks that have not been freed; `None` if that is not known.
    ///
    /// A block that is just being moved is counted. Cost: a look at each block that is followed in the process.
    pub fn kept(&self) -> Option<Kept> {
        // Not as a change of the table: it takes locks, and nothing in it allocates.
        change(|_| TABLE.kept(self.0)).flatten()
    }
}

impl Drop for Blocks {
    fn drop(&mut self) {
        change(|_| TABLE.end(self.0));
    }
}
