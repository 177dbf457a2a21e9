//! The records of a strand: in order, by their calls, and as another thread reads them.

use crate::primitives::pool::Member;
use crate::store::address::Address;
use crate::store::chunk::{CallRef, Chunk};
use crate::store::record::{CallRecord, Record};
use crate::store::state::{RecordKind, RecordState};
use crate::store::usage::{Figures, Reading, Usage};

use super::Strand;

impl Strand {
    pub(crate) fn chunks(&self) -> u32 {
        self.pages().map(|_| 1).sum()
    }

    /// Returns the published records, in the order in which they were written.
    ///
    /// A chunk's successor is looked up before the chunk's length. So if there is one, the chunk is known
    /// to be full, and no record is passed over.
    pub(crate) fn records(&self) -> impl Iterator<Item = (Address, &'static Record)> {
        self.pages().flat_map(Chunk::published)
    }

    /// Returns the chunks of the [records](Self::records): a loop in a loop costs less than one over both.
    #[inline]
    pub(crate) fn pages(&self) -> impl Iterator<Item = &'static Member<Chunk>> {
        std::iter::successors(Some(self.first), |chunk| chunk.next())
    }

    /// Returns the published records of the strand whose record this is, from that one onwards.
    pub(crate) fn records_from(first: Address) -> impl Iterator<Item = &'static Record> {
        let chunks = std::iter::successors(first.chunk(), |chunk| chunk.next());
        let records = chunks.flat_map(Chunk::published);
        { records.skip_while(move |(address, _)| *address != first) }.map(|(_, record)| record)
    }

    /// Returns the strand's calls, or only those after this one.
    pub(crate) fn calls_after(&self, call: Option<Address>) -> impl Iterator<Item = CallRef> {
        let first = call.map_or(Some(self.first), Address::chunk);
        let chunks = std::iter::successors(first, |chunk| chunk.next());
        chunks
            .flat_map(|chunk| Chunk::published(chunk).map(move |record| (chunk, record)))
            .skip_while(move |(_, (address, _))| call.is_some_and(|call| *address != call))
            .skip(usize::from(call.is_some()))
            .filter(|(_, (_, record))| record.state().kind() == RecordKind::Call)
            .filter_map(|(chunk, (address, _))| Chunk::call(chunk, address))
    }

    /// Reads a call's record at one moment, from any thread: its state, when it stopped, and its figures. A
    /// running call's start is the strand's reading.
    ///
    /// A call that was [left](CallRecord::leave) can't be resumed if the execution is over: it has stopped
    /// when it was left.
    #[inline]
    pub(crate) fn read_record(
        &self,
        record: CallRecord,
    ) -> (RecordState, Option<u64>, Figures<Reading>) {
        match record.read() {
            (state, Some(stop), Figures::Used(used)) => (state, Some(stop), Figures::Used(used)),
            _ => self.read_open(record),
        }
    }

    /// Reads the record of a call that was open a moment ago.
    fn read_open(&self, record: CallRecord) -> (RecordState, Option<u64>, Figures<Reading>) {
        let (state, stop, figures) = self.meter.read_record(record);
        if stop.is_none()
            && self.is_over()
            && let Some(left) = record.left()
        {
            let state = state.with_outcome(state.own_outcome());
            return (state, Some(left), figures);
        }
        (state, stop, figures)
    }

    /// Returns the usage of a call of the strand, as far as it is known to a thread that may not run the
    /// strand.
    pub(crate) fn known_usage(&self, record: CallRecord) -> Usage {
        self.known_usage_or_so_far(record).0
    }

    /// Returns the known usage of a call, and whether that is all of it: the call is suspended, or has
    /// stopped.
    pub(crate) fn known_usage_or_so_far(&self, record: CallRecord) -> (Usage, bool) {
        let (_, _, figures) = self.meter.read_record(record);
        match figures {
            // The clocks of two processors may differ: the known reading may be older than the start.
            Figures::Started(start) => (self.meter.read().0.saturating_since(start), false),
            Figures::Used(used) => (used, true),
        }
    }

    /// Converts the readings in the running calls' records into the strand's own, since the thread's
    /// mean nothing after this visit. Each is converted once: all readings inside a call that has the
    /// thread's are the thread's, too.
    #[inline]
    pub(crate) fn rebase(&self) {
        if self.aside.innermost() != Address::NONE {
            self.rebase_calls();
        }
    }

    fn rebase_calls(&self) {
        let mut next = self.aside.innermost().call();
        while let Some(call) = next {
            let record = call.record;
            if record.state().is_of_thread() {
                if let Some(start) = self.meter.start(record) {
                    record.rebase(start);
                }
            } else if record.is_running() && !self.is_partial() {
                return;
            }
            next = record.parent().call();
        }
    }
}
