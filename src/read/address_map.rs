//! A map from addresses to indexes.

use crate::primitives::pool::Number;
use crate::store::address::Address;

/// Maps an address to an index of a list. Records are in few chunks, so the map has an array for each
/// chunk. That of the first one is in the map itself: most traces have no other.
pub(crate) struct AddressMap {
    first: (Number, Indexes),
    /// In order of the chunks' numbers.
    others: Vec<(Number, Indexes)>,
}

type Indexes = [u32; Address::MAX_IN_CHUNK];

const ABSENT: u32 = u32::MAX;
const EMPTY: Indexes = [ABSENT; Address::MAX_IN_CHUNK];

impl AddressMap {
    pub(crate) const fn new() -> Self {
        Self {
            first: (Number::NONE, EMPTY),
            others: Vec::new(),
        }
    }

    /// Empties the map and keeps its memory.
    #[cfg(feature = "recorder")]
    pub(crate) fn clear(&mut self) {
        self.first.0 = Number::NONE;
        self.others.clear();
    }

    /// Reserves memory for one more address, so that the next insertion can't fail. Returns whether
    /// there is any.
    #[cfg(feature = "recorder")]
    pub(crate) fn reserve(&mut self) -> bool {
        self.others.try_reserve(1).is_ok()
    }

    #[inline]
    pub(crate) fn get(&self, address: Address) -> Option<usize> {
        let (first, indexes) = &self.first;
        let indexes = if *first == address.chunk_number() {
            indexes
        } else {
            self.other(address.chunk_number())?
        };
        let index = indexes[address.index()];
        (index != ABSENT).then_some(index as usize)
    }

    fn other(&self, number: Number) -> Option<&Indexes> {
        let chunk = self.find(number).ok()?;
        Some(&self.others[chunk].1)
    }

    #[inline]
    pub(crate) fn insert(&mut self, address: Address, index: usize) {
        let number = address.chunk_number();
        let indexes = if self.first.0 == number {
            &mut self.first.1
        } else {
            self.chunk(number)
        };
        // There are fewer records than addresses, which have 32 bits.
        indexes[address.index()] = u32::try_from(index).unwrap_or(ABSENT);
    }

    /// Returns the indexes of a chunk that may be a new one.
    fn chunk(&mut self, number: Number) -> &mut Indexes {
        if self.first.0 == Number::NONE {
            self.first = (number, EMPTY);
            return &mut self.first.1;
        }
        let chunk = self.find(number).unwrap_or_else(|chunk| {
            self.others.insert(chunk, (number, EMPTY));
            chunk
        });
        &mut self.others[chunk].1
    }

    fn find(&self, chunk: Number) -> Result<usize, usize> {
        match self.others.last() {
            Some((last, _)) if *last == chunk => Ok(self.others.len() - 1),
            _ => self
                .others
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
        assert_eq!(AddressMap::new().get(Address::NONE), None);
    }
}
