//! Live blocks by their addresses.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::key::Owners;

/// A live block.
#[derive(Clone, Copy)]
pub(super) struct Block {
    pub(super) size: usize,
    pub(super) owners: Owners,
}

/// Spreads addresses, whose low bits are all the same.
#[derive(Default)]
pub(super) struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_usize((*byte).into());
        }
    }

    fn write_usize(&mut self, address: usize) {
        self.0 = spread(self.0 ^ address as u64);
    }
}

pub(super) fn spread(address: u64) -> u64 {
    // 2^64 divided by the golden ratio.
    let product = address.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    product ^ product >> 32
}

pub(super) type Map = HashMap<usize, Block, BuildHasherDefault<AddressHasher>>;

pub(super) const fn no_blocks() -> Map {
    HashMap::with_hasher(BuildHasherDefault::new())
}
