//! Whether a future is being dropped before it was ready.

use std::sync::atomic::Ordering::Relaxed;

use crate::primitives::sync::AtomicU8;

/// Whether a future of a strand is being dropped before it was ready, so that the calls which stop
/// meanwhile are cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cancelling {
    No,
    Yes,
    /// Dropped because something else panics: no panic comes through its calls.
    InPanic,
}

/// Written and read by the thread that runs the strand.
#[derive(Default)]
pub(crate) struct AtomicCancelling(AtomicU8);

impl AtomicCancelling {
    #[inline]
    pub(crate) fn get(&self) -> Cancelling {
        match self.0.load(Relaxed) {
            0 => Cancelling::No,
            1 => Cancelling::Yes,
            _ => Cancelling::InPanic,
        }
    }

    pub(crate) fn set(&self, cancelling: Cancelling) {
        self.0.store(cancelling as u8, Relaxed);
    }

    /// Notes that a future begins to be dropped. Returns the earlier note.
    pub(crate) fn begin(&self) -> Cancelling {
        let before = self.get();
        self.set(if std::thread::panicking() {
            Cancelling::InPanic
        } else {
            Cancelling::Yes
        });
        before
    }
}
