//! A map from addresses.

use crate::primitives::pool::Number;
use crate::store::address::Address;

/// What belongs to which address. Records stand in few chunks, so it is kept by chunk.
pub(crate) struct Places {
    /// In order of the chunks' numbers.
    chunks: Vec<(Number, [u32; Address::MAX_IN_CHUNK])>,
}

const NOWHERE: u32 = u32::MAX;

impl Places {
    pub(crate) const fn new() -> Self {
        Self { chunks: Vec::new() }
    }

    /// Empty again, with its memory.
    #[cfg(feature = "recorder")]
    pub(crate) fn clear(&mut self) {
        self.chunks.clear();
    }

    /// Makes sure that one more is inserted without a request for memory; `false` if there is none.
    #[cfg(feature = "recorder")]
    pub(crate) fn reserve(&mut self) -> bool {
        self.chunks.try_reserve(1).is_ok()
    }

    pub(crate) fn get(&self, address: Address) -> Option<usize> {
        let chunk = self.find(address.chunk_number()).ok()?;
        let place = self.chunks[chunk].1[address.index()];
        (place != NOWHERE).then_some(place as usize)
    }

    pub(crate) fn insert(&mut self, address: Address, place: usize) {
        let number = address.chunk_number();
        let chunk = self.find(number).unwrap_or_else(|chunk| {
            let places = [NOWHERE; Address::MAX_IN_CHUNK];
            self.chunks.insert(chunk, (number, places));
            chunk
        });
        // There are fewer records than addresses, which have 32 bits.
        self.chunks[chunk].1[address.index()] = u32::try_from(place).unwrap_or(NOWHERE);
    }

    fn find(&self, chunk: Number) -> Result<usize, usize> {
        match self.chunks.last() {
            Some((last, _)) if *last == chunk => Ok(self.chunks.len() - 1),
            _ => self
                .chunks
                .binary_search_by_key(&chunk, |(number, _)| *number),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_found_where_it_was_put() {
        let mut places = Places::new();
        let address = |place: u32| Address::new(Number::from_bits(place * 7 % 5), place / 5);
        for place in 0..100 {
            assert_eq!(places.get(address(place)), None);
            places.insert(address(place), place as usize);
        }
        for place in 0..100 {
            assert_eq!(places.get(address(place)), Some(place as usize));
        }
        assert_eq!(places.get(Address::NONE), None);
    }
}
