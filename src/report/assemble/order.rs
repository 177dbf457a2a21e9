//! The order of a report's calls.

use crate::read::address_map::AddressMap;
use crate::read::snapshot::{CallId, PathSnapshot, StrandSnapshot};
use crate::report::CallReport;

/// The place of each call in the order of start, after the call in which it was opened.
///
/// A call's count is its number when calls are counted strand by strand. Paths of folded calls have the
/// places after those of all calls.
pub(super) struct Order {
    /// The count of each strand's first call; empty if there is but one strand.
    first: Vec<usize>,
    counts: AddressMap,
    /// `None` if each call's count is its place.
    sequence: Option<Sequence>,
    len: usize,
    /// `None` if there are no paths.
    paths: Option<Box<AddressMap>>,
}

struct Sequence {
    /// By count, the place; and by place, the count.
    places: Vec<usize>,
    counts: Vec<usize>,
}

impl Sequence {
    /// Sorts the calls; `None` if they are in order.
    fn of(strands: &[StrandSnapshot], len: usize, counts: &AddressMap) -> Option<Self> {
        let mut starts: Vec<u64> = Vec::with_capacity(len);
        for strand in strands {
            for call in &strand.calls {
                let parent = call.parent.or(strand.parent);
                let parent = parent.and_then(|CallId(parent)| counts.get(parent));
                // Clocks of two processors may differ by a few ticks.
                let parent_start = parent.and_then(|parent| starts.get(parent).copied());
                starts.push(call.start_ns.max(parent_start.unwrap_or_default()));
            }
        }
        if starts.is_sorted() {
            return None;
        }
        let mut sequence: Vec<usize> = (0..len).collect();
        sequence.sort_by_key(|count| starts[*count]);
        let mut places = vec![0; len];
        for (place, count) in sequence.iter().enumerate() {
            places[*count] = place;
        }
        Some(Self {
            places,
            counts: sequence,
        })
    }
}

impl Order {
    pub(super) fn of(strands: &[StrandSnapshot], paths: &[PathSnapshot]) -> Self {
        let mut counts = AddressMap::new();
        let mut first = Vec::new();
        if strands.len() > 1 {
            first.reserve(strands.len());
        }
        let (mut len, mut last_start_ns, mut is_in_order) = (0, 0, true);
        for strand in strands {
            if strands.len() > 1 {
                first.push(len);
            }
            for call in &strand.calls {
                let CallId(address) = call.id;
                counts.insert(address, len);
                len += 1;
                is_in_order &= last_start_ns <= call.start_ns;
                last_start_ns = call.start_ns;
            }
        }
        // Then no call began before the one around it, either.
        let sequence = (!is_in_order)
            .then(|| Sequence::of(strands, len, &counts))
            .flatten();
        let paths = (!paths.is_empty()).then(|| {
            let mut places = Box::new(AddressMap::new());
            for (index, path) in paths.iter().enumerate() {
                places.insert(path.id.0, len + index);
            }
            places
        });
        Self {
            first,
            counts,
            sequence,
            len,
            paths,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    fn by_count(&self, count: usize) -> usize {
        let sequence = self.sequence.as_ref();
        sequence.map_or(count, |sequence| sequence.places[count])
    }

    pub(super) fn place(&self, strand: usize, index: usize) -> usize {
        let first = self.first.get(strand).copied();
        self.by_count(first.unwrap_or(0) + index)
    }

    /// Returns the strand whose call has this place, and the call's index there.
    pub(super) fn strand_and_index(&self, place: usize) -> Option<(usize, usize)> {
        let sequence = self.sequence.as_ref();
        let count = sequence.map_or(place, |sequence| sequence.counts[place]);
        if self.first.is_empty() {
            return Some((0, count));
        }
        // Strands without calls begin at the same count as the next one: the last of these has it.
        let strand = self.first.partition_point(|first| *first <= count);
        let strand = strand.checked_sub(1)?;
        Some((strand, count - self.first[strand]))
    }

    pub(super) fn find(&self, id: Option<CallId>) -> Option<usize> {
        let CallId(address) = id?;
        if address.path().is_some() {
            return self.paths.as_ref()?.get(address);
        }
        self.counts.get(address).map(|count| self.by_count(count))
    }

    /// Brings calls from the order of their counts to that of their places.
    pub(super) fn arrange(&self, calls: Vec<CallReport>) -> Vec<CallReport> {
        let Some(sequence) = &self.sequence else {
            return calls;
        };
        let mut calls: Vec<_> = sequence.places.iter().zip(calls).collect();
        calls.sort_by_key(|(place, _)| **place);
        calls.into_iter().map(|(_, call)| call).collect()
    }
}
