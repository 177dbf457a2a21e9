//! A map from addresses to indexes.

use crate::primitives::pool::Number;
use crate::store::address::Address;

/// Maps an address to an index of a list. Records are in few chunks, so the map has an array for each
/// chunk. One of them is in the map itself: most traces have no other.
pub(crate) struct AddressMap {
    first: (Number, Indexes),
    /// In order of the chunks' numbers.
    others: Vec<(Number, Indexes)>,
}

type Indexes = [Index; Address::MAX_IN_CHUNK];

const EMPTY: Indexes = [Index::NONE; Address::MAX_IN_CHUNK];

/// An index of a list, or none, in four bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Index(u32);

impl Index {
    /// Beyond the end of each list.
    pub(crate) const NONE: Self = Self(u32::MAX);

    #[inline]
    pub(crate) fn new(index: usize) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "there are fewer records than addresses, which have 32 bits"
        )]
        Self(index as u32)
    }

    #[inline]
    pub(crate) fn get(self) -> Option<usize> {
        (self != Self::NONE).then_some(self.0 as usize)
    }

    /// Returns the entry of a list.
    #[cfg(feature = "recorder")]
    #[inline]
    pub(crate) fn of<T>(self, list: &[T]) -> Option<&T> {
        list.get(self.0 as usize)
    }

    #[cfg(feature = "recorder")]
    #[inline]
    pub(crate) fn of_mut<T>(self, list: &mut [T]) -> Option<&mut T> {
        list.get_mut(self.0 as usize)
    }

    /// Returns the other one if this is none.
    #[cfg(feature = "recorder")]
    #[inline]
    pub(crate) fn or(self, other: Self) -> Self {
        if self == Self::NONE { other } else { self }
    }
}

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

    /// Reserves memory for one more chunk, so that the next insertion can't fail. Returns whether
    /// there is any.
    #[cfg(feature = "recorder")]
    pub(crate) fn reserve(&mut self) -> bool {
        self.others.try_reserve(1).is_ok()
    }

    #[inline]
    pub(crate) fn get(&self, address: Address) -> Option<usize> {
        self.index(address).get()
    }

    #[inline]
    pub(crate) fn index(&self, address: Address) -> Index {
        let (first, indexes) = &self.first;
        if *first == address.chunk_number() {
            indexes[address.index()]
        } else {
            self.index_in_other(address)
        }
    }

    fn index_in_other(&self, address: Address) -> Index {
        let chunk = self.find(address.chunk_number());
        chunk.map_or(Index::NONE, |chunk| self.others[chunk].1[address.index()])
    }

    #[inline]
    pub(crate) fn insert(&mut self, address: Address, index: usize) {
        let number = address.chunk_number();
        let indexes = if self.first.0 == number {
            &mut self.first.1
        } else {
            self.chunk(number)
        };
        indexes[address.index()] = Index::new(index);
    }

    /// Begins a chunk of which the map has no addresses, and whose addresses come [next](Self::insert_next).
    #[cfg(feature = "recorder")]
    #[inline]
    pub(crate) fn begin_chunk(&mut self, number: Number) {
        let before = std::mem::replace(&mut self.first.0, number);
        if before != Number::NONE {
            let place = self.find(before).unwrap_or_else(|place| place);
            self.others.insert(place, (before, self.first.1));
        }
        self.first.1 = EMPTY;
    }

    /// Inserts an address of the chunk that was begun last.
    #[cfg(feature = "recorder")]
    #[inline]
    pub(crate) fn insert_next(&mut self, address: Address, index: usize) {
        self.first.1[address.index()] = Index::new(index);
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

    #[cfg(feature = "recorder")]
    #[test]
    fn chunks_may_come_one_after_the_other() {
        let mut map = AddressMap::new();
        let address = |chunk, place| Address::new(Number::from_bits(chunk), place);
        for (index, chunk) in [7, 3, 9, 1].into_iter().enumerate() {
            assert!(map.reserve());
            map.begin_chunk(Number::from_bits(chunk));
            map.insert_next(address(chunk, 2), index);
            assert_eq!(map.get(address(chunk, 1)), None);
        }
        // As the last chunk's.
        map.insert(address(4, 2), 4);
        for (index, chunk) in [7, 3, 9, 1, 4].into_iter().enumerate() {
            assert_eq!(map.get(address(chunk, 2)), Some(index));
            assert_eq!(map.get(address(chunk, 3)), None);
        }
    }

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
