//! A map from addresses to indexes.

use crate::primitives::pool::Number;
use crate::store::address::Address;

/// Maps an address to an index of a list. Records are in few chunks, so the map has an array for each
/// chunk.
pub(crate) struct AddressMap {
    /// In order of the chunks' numbers.
    chunks: Vec<(Number, [u32; Address::MAX_IN_CHUNK])>,
}

const ABSENT: u32 = u32::MAX;

impl AddressMap {
    pub(crate) const fn new() -> Self {
        Self { chunks: Vec::new() }
    }

    /// Empties the map and keeps its memory.
    #[cfg(feature = "recorder")]
    pub(crate) fn clear(&mut self) {
        self.chunks.clear();
    }

    /// Reserves memory for one more address, so that the next insertion can't fail. Returns whether
    /// there is any.
    #[cfg(feature = "recorder")]
    pub(crate) fn reserve(&mut self) -> bool {
        self.chunks.try_reserve(1).is_ok()
    }

    pub(crate) fn get(&self, address: Address) -> Option<usize> {
        let chunk = self.find(address.chunk_number()).ok()?;
        let index = self.chunks[chunk].1[address.index()];
        (index != ABSENT).then_some(index as usize)
    }

    #[inline]
    pub(crate) fn insert(&mut self, address: Address, index: usize) {
        let number = address.chunk_number();
        let indexes = match self.chunks.last_mut() {
            Some((last, indexes)) if *last == number => indexes,
            _ => self.chunk(number),
        };
        // There are fewer records than addresses, which have 32 bits.
        indexes[address.index()] = u32::try_from(index).unwrap_or(ABSENT);
    }

    #[cold]
    fn chunk(&mut self, number: Number) -> &mut [u32; Address::MAX_IN_CHUNK] {
        let chunk = self.find(number).unwrap_or_else(|chunk| {
            let indexes = [ABSENT; Address::MAX_IN_CHUNK];
            self.chunks.insert(chunk, (number, indexes));
            chunk
        });
        &mut self.chunks[chunk].1
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
    fn an_address_leads_to_what_was_inserted() {
        let mut map = AddressMap::new();
        let address = |index: u32| Address::new(Number::from_bits(index * 7 % 5), index / 5);
        for index in 0..100 {
            assert_eq!(map.get(address(index)), None);
            map.insert(address(index), index as usize);
        }
        for index in 0..100 {
            assert_eq!(map.get(address(index)), Some(index as usize));
        }
        assert_eq!(map.get(Address::NONE), None);
    }
}
