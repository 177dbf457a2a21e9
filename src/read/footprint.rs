//! The memory that one trace takes.

#[cfg(feature = "sites")]
use alloc_counter::SiteLog;

use crate::primitives::pool::Member;
use crate::store::chunk::Chunk;
use crate::store::strand::Strand;
#[cfg(feature = "recorder")]
use crate::store::sum::SharedSum;
use crate::store::trace::Trace;

/// The memory of one trace, which is reused by other traces later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Footprint {
    /// Pages of records.
    chunks: usize,
    strands: usize,
    /// Sums of folded calls.
    sums: usize,
    /// Bytes of allocation sites.
    sites: usize,
}

impl Footprint {
    /// Counts the memory that a trace takes now.
    pub(crate) fn of(trace: &Trace) -> Self {
        let mut footprint = Self::default();
        for strand in trace.strands_newest_first() {
            footprint.add(strand);
        }
        trace.read_folding(|open, _| open.for_each(|strand| footprint.add(strand)));
        footprint
    }

    fn add(&mut self, strand: &Strand) {
        self.chunks += strand.chunks() as usize;
        self.strands += 1;
        self.sums += strand.folded.sums().count();
        #[cfg(feature = "sites")]
        if strand.sites.key().is_some() {
            self.sites += strand.sites.look(SiteLog::bytes).unwrap_or(0);
        }
    }

    /// Returns the bytes of the pages of records, which a report states.
    pub(crate) fn record_bytes(self) -> u64 {
        self.chunks as u64 * size_of::<Member<Chunk>>() as u64
    }

    /// Returns the bytes of all its memory.
    #[cfg(feature = "recorder")]
    pub(crate) fn bytes(self) -> usize {
        self.chunks * size_of::<Member<Chunk>>()
            + self.strands * size_of::<Member<Strand>>()
            + self.sums * size_of::<Member<SharedSum>>()
            + self.sites
    }

    /// Returns about how many bytes it takes to build its report. That of a site has the names of its frames,
    /// which are addresses before.
    #[cfg(feature = "recorder")]
    pub(crate) fn report_bytes(self) -> usize {
        let sites = self.sites.saturating_mul(32);
        (self.bytes() - self.sites)
            .saturating_mul(4)
            .saturating_add(sites)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::address::Address;
    use crate::store::limits::Limits;

    #[test]
    fn strands_that_fold_count_while_they_are_open() {
        let trace = Trace::with_limits(1, Limits::default().strands(1));
        let footprint = |chunks, strands, sums| Footprint {
            chunks,
            strands,
            sums,
            sites: 0,
        };
        assert_eq!(Footprint::of(&trace), footprint(0, 0, 0));
        let first = trace.strand(Address::NONE).unwrap();
        let folding = trace.strand(Address::NONE).unwrap();
        assert!(!first.is_folding() && folding.is_folding());
        folding.sum_of(Address::NONE).unwrap();
        assert_eq!(Footprint::of(&trace), footprint(2, 2, 1));
        trace.end(folding);
        assert_eq!(Footprint::of(&trace), footprint(1, 1, 0));
        trace.end(first);
        assert_eq!(Footprint::of(&trace), footprint(1, 1, 0));
        assert_eq!(Footprint::of(&Trace::empty()), footprint(0, 0, 0));
    }
}
