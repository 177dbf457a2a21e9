//! Room for the next record: whether one more call may be recorded, the place that it gets, and texts that are too long for
//! their record.

use crate::primitives::pool::Member;
use crate::store::address::Address;
use crate::store::chunk::{Chunk, Vacant};
use crate::store::limits::Allowance;
use crate::store::record::{TEXT_PIECE, TextRecord};
use crate::store::short_text::ShortText;
use crate::store::strand::Strand;

use super::Position;

impl Position {
    /// Returns whether one more call may be recorded.
    #[inline]
    pub(crate) fn may_open(&self, strand: &Strand) -> bool {
        self.calls_left.get() > 0 || self.refill(strand)
    }

    #[cold]
    #[inline(never)]
    fn refill(&self, strand: &Strand) -> bool {
        // Calls that are opened inside a folded call are folded too.
        let innermost = self.innermost();
        let in_folded = innermost.is_some_and(|call| call.record.state().is_folded());
        if strand.is_folding() || in_folded {
            return false;
        }
        let calls = strand
            .allowance()
            .map_or(0, |allowance| allowance.take_calls());
        self.calls_left.set(calls);
        calls > 0
    }

    /// Returns the next place in the chunk; `None` if the chunk is full.
    #[inline]
    pub(crate) fn next_in_chunk(&self) -> Option<Vacant> {
        Chunk::vacant(self.tail.get()?)
    }

    /// Takes one from `calls_left`; `false` if there is none.
    #[inline]
    pub(crate) fn take_call(&self) -> bool {
        let left = self.calls_left.get();
        if left > 0 {
            self.calls_left.set(left - 1);
        }
        left > 0
    }

    /// Returns the place for a call and takes one from `calls_left`. One must have been
    /// [allowed](Self::may_open).
    #[inline]
    pub(crate) fn vacant_call(&self, strand: &Strand) -> Option<Vacant> {
        self.calls_left.set(self.calls_left.get().wrapping_sub(1));
        self.vacant(strand)
    }

    /// Finds room for one more record; `None` if the trace holds as many as it may.
    #[inline]
    pub(crate) fn make_room(&self, strand: &Strand) -> Option<()> {
        self.vacant(strand).map(drop)
    }

    /// Returns where the next record will be; `None` if the trace holds as many as it may.
    pub(crate) fn next_address(&self, strand: &Strand) -> Option<Address> {
        self.vacant(strand).map(|vacant| vacant.address())
    }

    /// Returns the place for one more record; `None` if the trace holds as many as it may.
    #[inline]
    pub(crate) fn vacant(&self, strand: &Strand) -> Option<Vacant> {
        match Chunk::vacant(self.tail.get()?) {
            Some(vacant) => Some(vacant),
            None => Chunk::vacant(self.grow(strand)?),
        }
    }

    /// Links a further chunk and returns it; `None` if the trace may have no more.
    #[cold]
    #[inline(never)]
    fn grow(&self, strand: &Strand) -> Option<&'static Member<Chunk>> {
        let allowance = strand.allowance()?;
        let Some(chunk) = allowance.take_chunk() else {
            allowance.note_dropped();
            return None;
        };
        self.tail.get()?.link(chunk);
        self.tail.set(Some(chunk));
        Some(chunk)
    }

    /// Writes a text that is too long for its record into records before it. If the trace has no room
    /// for them, returns the part that fits in the record itself.
    #[cold]
    #[inline(never)]
    pub(crate) fn write_long_text(&self, strand: &Strand, text: &[u8]) -> Option<ShortText> {
        self.write_pieces(strand, text, text.len(), |_| ())
    }

    /// Writes a text as [`write_long_text`](Self::write_long_text), with records for this number of bytes at least, and
    /// calls `wrote` with each of them.
    pub(crate) fn write_pieces(
        &self,
        strand: &Strand,
        text: &[u8],
        room: usize,
        mut wrote: impl FnMut(TextRecord),
    ) -> Option<ShortText> {
        let has_room = |allowance: &Allowance| allowance.take_text(text.len());
        if !strand.allowance().is_some_and(|it| has_room(it)) {
            return Some(ShortText::cut(text));
        }
        let parts = text.chunks(TEXT_PIECE).chain(std::iter::repeat(&[][..]));
        for (index, part) in parts.take(room.div_ceil(TEXT_PIECE)).enumerate() {
            let Some(vacant) = self.vacant(strand) else {
                return Some(ShortText::cut(text));
            };
            let piece = vacant.as_text();
            piece.write(part, index == 0);
            vacant.publish();
            wrote(piece);
        }
        None
    }
}
