//! The table of live blocks, which all threads share.
//!
//! A block's address leads to its size and to the *places* of those that follow it. Shards, each with a lock, hold the
//! blocks by a hash of their addresses. One that follows has a place, named by a [`Key`] that is never used again:
//!
//! - Whoever notes a block holds its shard's lock and looks, by the key, whether the place is still the key's.
//! - Whoever ends a key takes it out of the place first, and then goes through all shards, each under its lock. Only
//!   when all are done may the place have the next key.
//!
//! So while a shard is locked, no place that was found in use is given to another key, and no block of an ended key
//! stays. A block that a reallocation moves is out of the table meanwhile; it is still counted as live, and comes with
//! a [moment](Table::moment), by which places of later keys are recognised.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::sync::{AtomicBool, AtomicU64, AtomicUsize, Mutex, MutexGuard, const_fn};

use super::kept::Kept;
use super::key::{BlocksKey, Owners, PLACE_BITS, PLACES};
use super::lock::lock;
use super::map::{Block, Map, no_blocks, spread};

const SHARDS: usize = if cfg!(loom) { 2 } else { 64 };
/// The most live blocks of one that follows them. The table takes 33 to 66 bytes for each.
pub(super) const MOST_BLOCKS: u64 = 1 << 20;

/// What belongs to one that follows blocks.
struct Place {
    /// 0 if it is free.
    key: AtomicU64,
    /// The places of those in which this one began, which have smaller keys.
    around: [AtomicU64; 2],
    /// Live blocks, and their bytes.
    blocks: AtomicU64,
    bytes: AtomicU64,
    /// Some block could not be noted, or not be taken out.
    is_lost: AtomicBool,
}

impl Place {
    const_fn! {
        const fn new() -> Self {
            Self {
                key: AtomicU64::new(0),
                around: [AtomicU64::new(0), AtomicU64::new(0)],
                blocks: AtomicU64::new(0),
                bytes: AtomicU64::new(0),
                is_lost: AtomicBool::new(false),
            }
        }
    }

    fn key(&self) -> BlocksKey {
        BlocksKey(self.key.load(Acquire))
    }

    fn around(&self) -> Owners {
        let [low, high] = &self.around;
        Owners([low.load(Relaxed), high.load(Relaxed)])
    }

    fn begin(&self, key: BlocksKey, around: Owners) {
        for (word, value) in self.around.iter().zip(around.0) {
            word.store(value, Relaxed);
        }
        self.blocks.store(0, Relaxed);
        self.bytes.store(0, Relaxed);
        self.is_lost.store(false, Relaxed);
        self.key.store(key.0, Release);
    }

    fn add(&self, bytes: usize) {
        self.blocks.fetch_add(1, Relaxed);
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }

    fn subtract(&self, bytes: usize) {
        self.blocks.fetch_sub(1, Relaxed);
        self.bytes.fetch_sub(bytes as u64, Relaxed);
    }

    fn resize(&self, from: usize, to: usize) {
        let difference = (to as u64).wrapping_sub(from as u64);
        self.bytes.fetch_add(difference, Relaxed);
    }
}

/// A block that is being reallocated.
pub(super) struct Moving {
    block: Option<Block>,
    moment: u64,
}

impl Moving {
    pub(super) const NONE: Self = Self {
        block: None,
        moment: 0,
    };

    pub(super) fn is_none(&self) -> bool {
        self.block.is_none()
    }
}

pub(super) struct Table {
    shards: [Mutex<Map>; SHARDS],
    places: [Place; PLACES],
    /// How many places are in use. 0 while nothing is to be noted or taken out.
    in_use: AtomicUsize,
    /// The number of keys that were given.
    moment: AtomicU64,
    /// Locked while a key is given or ended.
    changing: Mutex<()>,
}

impl Table {
    #[cfg(not(loom))]
    pub(super) const fn new() -> Self {
        Self {
            shards: [const { Mutex::new(no_blocks()) }; SHARDS],
            places: [const { Place::new() }; PLACES],
            in_use: AtomicUsize::new(0),
            moment: AtomicU64::new(0),
            changing: Mutex::new(()),
        }
    }

    #[cfg(loom)]
    pub(super) fn new() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::new(no_blocks())),
            places: std::array::from_fn(|_| Place::new()),
            in_use: AtomicUsize::new(0),
            moment: AtomicU64::new(0),
            changing: Mutex::new(()),
        }
    }

    /// Returns whether any follow blocks.
    ///
    /// Relaxed is enough: whoever frees a block got it from whoever allocated it, and so sees what that one saw.
    #[inline]
    pub(super) fn is_in_use(&self) -> bool {
        self.in_use.load(Relaxed) > 0
    }

    /// Gives a key, whose blocks are also those of the keys around it; `None` if all places are in use.
    pub(super) fn begin(&self, around: impl Iterator<Item = BlocksKey>) -> Option<BlocksKey> {
        let _changing = lock(&self.changing)?;
        let free = self
            .places
            .iter()
            .position(|it| it.key.load(Relaxed) == 0)?;
        // No key ends meanwhile.
        let around = self.owners(around);
        let key = BlocksKey::new(self.moment.fetch_add(1, Relaxed) + 1, free);
        self.in_use.fetch_add(1, Relaxed);
        self.places[free].begin(key, around);
        Some(key)
    }

    /// Ends a key, and forgets its blocks.
    pub(super) fn end(&self, key: BlocksKey) {
        // Else the process was forked: the key is its parent's.
        let (Some(place), Some(_changing)) = (self.place(key), lock(&self.changing)) else {
            return;
        };
        place.key.store(0, Relaxed);
        let is_last = self.in_use.fetch_sub(1, Relaxed) == 1;
        for shard in &self.shards {
            let Some(mut blocks) = lock(shard) else {
                continue;
            };
            blocks.retain(|_, block| {
                block.owners.remove(key.place());
                !block.owners.is_empty()
            });
            if is_last {
                let memory = std::mem::replace(&mut *blocks, no_blocks());
                drop(blocks);
                drop(memory);
            }
        }
    }

    /// Returns the place of a key that has not ended.
    fn place(&self, key: BlocksKey) -> Option<&Place> {
        let place = &self.places[key.place()];
        (key != BlocksKey::NONE && place.key() == key).then_some(place)
    }

    pub(super) fn is_running(&self, key: BlocksKey) -> bool {
        self.place(key).is_some()
    }

    /// Returns the places of these keys and of those around them, as far as they have not ended. The caller holds a
    /// lock, so none of the places is given to another key meanwhile.
    fn owners(&self, keys: impl Iterator<Item = BlocksKey>) -> Owners {
        let mut owners = Owners::default();
        for key in keys {
            if let Some(place) = self.place(key) {
                owners.add(key.place());
                let around = place.around();
                around
                    .iter()
                    .filter(|it| self.is_before(*it, key.0))
                    .for_each(|it| owners.add(it));
            }
        }
        owners
    }

    /// Returns whether a place is in use by a key that was given before this one.
    fn is_before(&self, place: usize, key: u64) -> bool {
        let BlocksKey(used_by) = self.places[place].key();
        used_by != 0 && used_by < key
    }

    pub(super) fn shard_of(address: usize) -> usize {
        // Neither the lowest bits nor the highest, which the map uses.
        (spread(address as u64) >> 40) as usize % SHARDS
    }

    fn shard(&self, address: usize) -> Option<MutexGuard<'_, Map>> {
        let locked = lock(&self.shards[Self::shard_of(address)]);
        if locked.is_none() {
            self.places
                .iter()
                .for_each(|it| it.is_lost.store(true, Relaxed));
        }
        locked
    }

    /// Notes that a block was allocated by a thread that has entered these keys.
    pub(super) fn note(
        &self,
        address: usize,
        size: usize,
        entered: impl Iterator<Item = BlocksKey>,
    ) {
        if let Some(mut blocks) = self.shard(address) {
            let owners = self.owners(entered);
            let block = Block { size, owners };
            self.put(&mut blocks, address, block, Owners::default());
        }
    }

    /// Notes that a block is being freed. Its address is not used again before this returns.
    pub(super) fn take_out(&self, address: usize) {
        if let Some(mut blocks) = self.shard(address)
            && let Some(block) = blocks.remove(&address)
        {
            self.subtract(block);
        }
    }

    /// Takes a block out that is being reallocated: its address may be used again before it is known whether it has
    /// moved. It is still counted.
    pub(super) fn begin_move(&self, address: usize) -> Moving {
        let Some(mut blocks) = self.shard(address) else {
            return Moving::NONE;
        };
        Moving {
            block: blocks.remove(&address),
            moment: self.moment(),
        }
    }

    /// Returns a moment: all keys of places that a block has now are of before, and all later keys of after.
    fn moment(&self) -> u64 {
        self.moment.load(Relaxed)
    }

    /// Notes where a block is now. If it has grown, then by a thread that has entered these keys.
    pub(super) fn end_move(
        &self,
        moving: &Moving,
        address: usize,
        size: usize,
        entered: Option<impl Iterator<Item = BlocksKey>>,
    ) {
        let Some(mut blocks) = self.shard(address) else {
            return;
        };
        let mut counted = Owners::default();
        if let Some(block) = moving.block {
            let next = (moving.moment + 1) << PLACE_BITS;
            counted = block.owners.only(|it| self.is_before(it, next));
            for place in counted.iter() {
                self.places[place].resize(block.size, size);
            }
        }
        let mut owners = counted;
        if let Some(entered) = entered {
            self.owners(entered).iter().for_each(|it| owners.add(it));
        }
        self.put(&mut blocks, address, Block { size, owners }, counted);
    }

    /// Puts a block into the table, or notes that it is lost. Some of its owners have counted it already; they never
    /// seem to have no block meanwhile.
    fn put(&self, blocks: &mut Map, address: usize, mut block: Block, counted: Owners) {
        let has_room = blocks.try_reserve(1).is_ok();
        block.owners = block.owners.only(|at| {
            let place = &self.places[at];
            let is_new = !counted.has(at);
            if !has_room || (is_new && place.blocks.load(Relaxed) >= MOST_BLOCKS) {
                place.is_lost.store(true, Relaxed);
                return false;
            }
            if is_new {
                place.add(block.size);
            }
            true
        });
        // A block that was at this address was freed past this allocator.
        let before = if block.owners.is_empty() {
            blocks.remove(&address)
        } else {
            blocks.insert(address, block)
        };
        if let Some(before) = before {
            self.subtract(before);
        }
    }

    fn subtract(&self, block: Block) {
        for place in block.owners.iter() {
            self.places[place].subtract(block.size);
        }
    }

    /// Notes that not all blocks of a key were noted.
    pub(super) fn lose(&self, key: BlocksKey) {
        if let Some(place) = self.place(key) {
            place.is_lost.store(true, Relaxed);
        }
    }

    /// Returns whether nothing is live, or nothing is known.
    pub(super) fn is_settled(&self, key: BlocksKey) -> bool {
        self.place(key)
            .is_none_or(|it| it.blocks.load(Acquire) == 0 || it.is_lost.load(Relaxed))
    }

    /// Returns what is live; `None` if it is not known.
    pub(super) fn kept(&self, key: BlocksKey) -> Option<Kept> {
        let place = self.place(key)?;
        if place.blocks.load(Acquire) == 0 && !place.is_lost.load(Relaxed) {
            return Some(Kept::default());
        }
        let mut kept = Kept::default();
        for shard in &self.shards {
            let blocks = lock(shard)?;
            blocks
                .values()
                .filter(|block| block.owners.has(key.place()))
                .for_each(|block| kept.add(block.size));
        }
        if kept.blocks == 0 {
            // Freed by now, or just being moved.
            kept.blocks = place.blocks.load(Acquire);
            kept.bytes = if kept.blocks == 0 {
                0
            } else {
                place.bytes.load(Relaxed)
            };
        }
        (!place.is_lost.load(Relaxed)).then_some(kept)
    }
}
