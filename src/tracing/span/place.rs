//! Where a span is: its trace, and the call and the span around it.

use crate::store::address::Address;
use crate::store::chunk::CallRef;
use crate::store::trace::WeakTrace;
use crate::write::context;
use crate::write::cursor;

use super::{SpanRef, State};

/// A new span.
#[derive(Clone, Copy)]
pub(in crate::tracing) struct New {
    /// A number that no other span has.
    pub(in crate::tracing) serial: u64,
    pub(in crate::tracing) place: Place,
}

/// Where a span is.
#[derive(Clone, Copy)]
pub(in crate::tracing) struct Place {
    pub(in crate::tracing) trace: WeakTrace,
    /// The call below which the span's own strands are.
    pub(in crate::tracing) parent: Address,
    /// The span around this one.
    pub(in crate::tracing) around: Option<SpanRef>,
    /// The span was made with `parent: None`, or inside such a span: it does not take its trace along.
    pub(in crate::tracing) is_root: bool,
}

/// Returns the call that is open on this thread, and its trace; `None` if no trace is current.
#[inline]
pub(in crate::tracing) fn place_here(around: Option<SpanRef>, is_root: bool) -> Option<Place> {
    cursor::here(|here| {
        let strand = here.strand()?;
        Some(Place {
            trace: WeakTrace::of(strand),
            parent: context::open_here(here, strand),
            around,
            is_root,
        })
    })
}

impl State {
    /// Returns where a span is that has this one as its parent.
    pub(in crate::tracing) fn place_inside(&self, this: SpanRef) -> Place {
        Place {
            trace: self.place.trace,
            parent: self.call.map_or(self.place.parent, CallRef::address),
            around: Some(this),
            is_root: self.place.is_root,
        }
    }
}
