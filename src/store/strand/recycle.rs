//! Giving a strand back, with its chunks.

use crate::primitives::pool::Member;
use crate::store::chunk::CHUNKS;

use super::{STRANDS, Strand};

impl Strand {
    /// Gives the strand and its chunks back. The caller knows that no thread runs it. Guards of its calls
    /// may still exist.
    pub(crate) fn recycle(this: &'static Member<Self>) {
        if this.clear() {
            STRANDS.give(this);
        }
    }

    /// Empties the strand, and gives its chunks back except for the first. The caller knows that no thread runs it.
    /// Guards of its calls may still exist.
    ///
    /// Returns `false` if the process was forked while another thread held the lock: then the strand can't be used
    /// again.
    #[inline]
    pub(crate) fn clear(&self) -> bool {
        // The caller knows that no thread writes a record.
        if self.first.is_empty() && !self.folded.has_sums() {
            #[cfg(feature = "sites")]
            self.sites.clear();
            // Nobody has a guard, so nobody posts an operation.
            return true;
        }
        self.clear_records()
    }

    #[inline(never)]
    fn clear_records(&self) -> bool {
        let Some(mut mailbox) = self.mailbox.lock() else {
            return false;
        };
        mailbox.clear();
        self.folded.clear();
        #[cfg(feature = "sites")]
        self.sites.clear();
        let mut next = self.first.next();
        while let Some(chunk) = next {
            next = chunk.next();
            chunk.clear();
            CHUNKS.give(chunk);
        }
        self.first.clear();
        true
    }
}
