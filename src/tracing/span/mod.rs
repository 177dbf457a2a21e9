//! A span that belongs to a trace: its state, and a reference to it.

#![expect(
    clippy::inline_always,
    reason = "for each span, and copies what is passed otherwise"
)]

mod enter;
mod leave;
mod place;
mod texts;

use crate::primitives::pool::{Member, Pool};
use crate::primitives::sync::shared_static;
use crate::primitives::wait::{Lock, Taken};
use crate::store::address::Address;
use crate::store::callsite::Callsite;
use crate::store::chunk::CallRef;
use crate::store::trace::WeakTrace;
use crate::write::cursor::{self, Position};
use crate::write::label::LateLabels;

use super::visit::Visit;

use leave::Answer;

pub(super) use enter::Entry;
pub(super) use place::{New, Place, place_here};

shared_static! {
    static SPANS: Pool<Span> = Pool::new();
}

/// A span's state, which any thread may take. It is used again for other spans.
pub(super) struct Span(Lock<State>);

/// A reference to a span that may be closed meanwhile.
#[derive(Clone, Copy)]
pub(super) struct SpanRef {
    span: &'static Member<Span>,
    serial: u64,
}

/// What a request leaves when its span is closed.
#[cfg(feature = "recorder")]
pub(super) type Request = Option<crate::recorder::Recording>;
#[cfg(not(feature = "recorder"))]
pub(super) type Request = Option<NoRequest>;

/// Without a recorder no span is a request.
#[cfg(not(feature = "recorder"))]
pub(super) enum NoRequest {}

pub(super) struct State {
    /// Another one each time that the state is used; 0 while it is free.
    serial: u64,
    callsite: &'static Callsite,
    place: Place,
    /// The texts of its calls, as the callsite has them.
    text: Vec<u8>,
    /// What its call got later.
    labels: LateLabels,
    /// Why the span failed, before it had a call.
    failure: Option<String>,
    /// The first ones are in use.
    visits: Vec<Visit>,
    used: usize,
    /// How many of these are entered.
    entered: usize,
    /// The call that was started last.
    call: Option<CallRef>,
    /// How often it was left, and in which visit for the last time.
    entries: u32,
    last: usize,
    /// Several threads have entered it at once, since it was entered by none.
    is_shared: bool,
    /// Closed while a visit was entered on another thread, which ends it.
    is_closed: bool,
    request: Request,
    answer: Answer,
}

static NO_CALLSITE: Callsite = Callsite::new("", "", "", 0);

impl Span {
    fn new() -> Self {
        Self(Lock::new(State {
            serial: 0,
            callsite: &NO_CALLSITE,
            place: Place {
                trace: WeakTrace::NONE,
                parent: Address::NONE,
                around: None,
                is_root: false,
            },
            text: Vec::new(),
            labels: LateLabels::new(),
            failure: None,
            visits: Vec::new(),
            used: 0,
            entered: 0,
            call: None,
            entries: 0,
            last: 0,
            is_shared: false,
            is_closed: false,
            request: None,
            answer: Answer::Unknown,
        }))
    }

    /// Takes a state from the pool; `None` if there is no memory.
    #[cold]
    pub(super) fn take() -> Option<&'static Member<Self>> {
        SPANS.take(Self::new)
    }

    /// Gives a state that is over to the pool.
    #[cold]
    pub(super) fn give(this: &'static Member<Self>) {
        SPANS.give(this);
    }

    #[inline(always)]
    pub(super) fn state(&self) -> Option<Taken<'_, State>> {
        self.0.take()
    }
}

impl SpanRef {
    pub(super) fn new(span: &'static Member<Span>, serial: u64) -> Self {
        Self { span, serial }
    }

    pub(super) fn span(self) -> &'static Member<Span> {
        self.span
    }

    /// Takes the state; `None` if the span has been closed and its state is another span's.
    #[inline(always)]
    pub(super) fn state(self) -> Option<Taken<'static, State>> {
        let state = self.span.0.take()?;
        (state.serial == self.serial).then_some(state)
    }
}

impl State {
    /// Begins a new span.
    #[inline(always)]
    pub(super) fn begin(&mut self, callsite: &'static Callsite, new: New, text: &[u8]) {
        self.serial = new.serial;
        self.callsite = callsite;
        self.place = new.place;
        if !text.is_empty() {
            self.set_text(text);
        }
    }

    /// Ends a span, whose visits have ended: the state may be another one's.
    #[inline(always)]
    pub(super) fn end(&mut self) {
        self.serial = 0;
        self.text.clear();
        if self.failure.is_some() {
            alloc_counter::exclude(|| self.failure = None);
        }
        self.used = 0;
        self.call = None;
        self.entries = 0;
        self.last = 0;
        self.is_shared = false;
        self.is_closed = false;
        self.answer = Answer::Unknown;
    }

    /// Whether the span is entered, on whichever thread.
    #[inline]
    pub(super) fn is_entered(&self) -> bool {
        self.entered > 0
    }

    #[inline]
    pub(super) fn serial(&self) -> u64 {
        self.serial
    }

    pub(super) fn callsite(&self) -> &'static Callsite {
        self.callsite
    }

    pub(super) fn trace(&self) -> WeakTrace {
        self.place.trace
    }

    pub(super) fn call(&self) -> Option<CallRef> {
        self.call
    }

    pub(super) fn request(&mut self) -> &mut Request {
        &mut self.request
    }

    pub(super) fn around(&self) -> Option<SpanRef> {
        self.place.around
    }

    #[inline(always)]
    fn visits(&self) -> &[Visit] {
        &self.visits[..self.used]
    }

    #[inline(always)]
    pub(super) fn visit(&self, index: usize) -> Option<&Visit> {
        self.visits().get(index)
    }
}

/// Counts in the current trace that something could not be recorded.
#[cold]
pub(super) fn note_dropped() {
    if let Some(strand) = cursor::here(Position::strand) {
        strand.note_dropped();
    }
}
