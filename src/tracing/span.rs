//! A span that belongs to a trace: its place, its texts, and its visits.

#![expect(
    clippy::inline_always,
    reason = "for each span, and copies what is passed otherwise"
)]

use crate::primitives::clock;
use crate::primitives::pool::{Member, Pool};
use crate::primitives::sync::shared_static;
use crate::primitives::text::{Text, copied};
use crate::primitives::wait::{Lock, Taken};
use crate::store::address::Address;
use crate::store::callsite::{Callsite, TextPlace};
use crate::store::chunk::CallRef;
use crate::store::strand::Strand;
use crate::store::trace::WeakTrace;
use crate::write::annotate;
use crate::write::context::{self, Entered};
use crate::write::cursor::{self, Position};
use crate::write::execution::Execution;
use crate::write::start_stop;

use super::left::{self, Left, Seen};
use super::visit::{Leave, Visit};

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
    /// Why the span failed, before it had a call.
    failure: Option<String>,
    /// The first ones are in use.
    visits: Vec<Visit>,
    used: usize,
    /// How many of these are entered.
    entered: usize,
    /// The call that was started last.
    call: Option<CallRef>,
    pub(super) left: Left,
    /// Closed while a visit was entered on another thread, which ends it.
    is_closed: bool,
    request: Request,
    answer: Answer,
}

/// Whether a request was answered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// That can't be known, or the span is no request.
    Unknown,
    /// Not yet.
    Awaited,
    /// When the span was entered for this time, counted from 1.
    Given(u32),
}

/// How a span was entered.
pub(super) struct Entry {
    /// Of the visit.
    pub(super) index: usize,
    /// Dropped before the visit's execution: see [`Visit::leave`].
    pub(super) entered: Option<Entered>,
    /// Whether the span was left at once before.
    pub(super) is_immediate: bool,
}

/// A new span.
#[derive(Clone, Copy)]
pub(super) struct New {
    /// A number that no other span has.
    pub(super) serial: u64,
    pub(super) place: Place,
}

/// Where a span is.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) trace: WeakTrace,
    /// The call below which the span's own strands are.
    pub(super) parent: Address,
    /// The span around this one.
    pub(super) around: Option<SpanRef>,
    /// The span was made with `parent: None`, or inside such a span: it does not take its trace along.
    pub(super) is_root: bool,
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
            failure: None,
            visits: Vec::new(),
            used: 0,
            entered: 0,
            call: None,
            left: Left::default(),
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

    /// Notes that the future of a span inside was dropped before it was ready. Then this span's future was
    /// dropped, too, if that had polled it last, and is neither entered nor answered since.
    #[cold]
    pub(super) fn note_cancelled_inside(self, inside: &Left) {
        if let Some(mut state) = self.state() {
            state.left.has_dropped |= state.left.has_polled(inside)
                && state.answer != Answer::Given(state.left.entries)
                && !state.is_entered();
        }
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
        self.left.entries = 0;
        self.left.has_dropped = false;
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

    /// Expects that [`note_answer`](Self::note_answer) will be told of the request's response.
    #[cfg(feature = "recorder")]
    pub(super) fn await_answer(&mut self) {
        self.answer = Answer::Awaited;
    }

    pub(super) fn awaits_answer(&self) -> bool {
        self.answer == Answer::Awaited
    }

    /// Notes that the request is answered, while the span is entered.
    pub(super) fn note_answer(&mut self) {
        self.answer = Answer::Given(self.left.entries + 1);
    }

    /// Returns where a span is that has this one as its parent.
    pub(super) fn place_inside(&self, this: SpanRef) -> Place {
        Place {
            trace: self.place.trace,
            parent: self.call.map_or(self.place.parent, CallRef::address),
            around: Some(this),
            is_root: self.place.is_root,
        }
    }

    fn set_text(&mut self, text: &[u8]) {
        self.text.clear();
        if self.text.capacity() < text.len() {
            let reserve = || self.text.try_reserve_exact(text.len());
            if alloc_counter::exclude(reserve).is_err() {
                return;
            }
        }
        self.text.extend_from_slice(text);
    }

    /// Sets one of the texts: of the call, and of those to come.
    pub(super) fn set(&mut self, place: TextPlace, text: &Text) {
        if let Some(call) = self.call {
            annotate::label(call, place, text);
        }
        alloc_counter::exclude(|| {
            let Some(value) = copied(text.as_str()) else {
                return;
            };
            let mut texts = self.callsite.read_texts(&self.text);
            self.callsite.set_text(&mut texts, place, value);
            let (id, labels) = &texts;
            let labels = labels.iter().map(|it| it.as_ref().map(|it| it as _));
            let labels: Vec<_> = labels.collect();
            let id = id.as_ref().map(|id| id as _);
            let text = self.callsite.write_texts(id, &labels);
            self.set_text(text.as_bytes());
        });
    }

    /// Marks the span as failed.
    pub(super) fn fail(&mut self, why: &Text) {
        match self.call {
            Some(call) => annotate::fail(call, why),
            None => alloc_counter::exclude(|| self.failure = copied(why.as_str())),
        }
    }

    #[inline(always)]
    fn visits(&self) -> &[Visit] {
        &self.visits[..self.used]
    }

    pub(super) fn around(&self) -> Option<SpanRef> {
        self.place.around
    }

    #[inline(always)]
    pub(super) fn visit(&self, index: usize) -> Option<&Visit> {
        self.visits().get(index)
    }

    /// Goes on with the visit that waits in the strand of this thread, or begins one if the strand is of
    /// the span's trace and the span has no call yet. Returns which visit that is, and whether the span was
    /// left at once before.
    #[inline(always)]
    pub(super) fn enter_here(&mut self, seen: Seen) -> Option<(usize, bool)> {
        let strand = cursor::here(Position::strand)?;
        if self.place.trace != WeakTrace::of(strand) {
            return None;
        }
        if self.used > 0 {
            let number = strand.number();
            let is_here = |visit: &Visit| visit.waits_in(number);
            if let Some(index) = self.visits().iter().position(is_here) {
                let Entry { is_immediate, .. } = self.enter_again(index, seen);
                return Some((index, is_immediate));
            }
            // Its call is in another strand. A root has none below it.
            if self.call.is_some() && !self.place.is_root {
                return None;
            }
        }
        Some((self.begin_visit(Some(strand), None)?, false))
    }

    /// Goes on in a strand of the span's own that waits, or begins one; `None` if there is no trace any
    /// more.
    ///
    /// A span that has a call already gets no second one: the strand is below its call. A root does not take
    /// its trace along.
    #[cold]
    pub(super) fn enter_own(&mut self, seen: Seen) -> Option<Entry> {
        if self.place.is_root {
            return None;
        }
        if let Some(index) = self.visits().iter().position(Visit::waits_in_own) {
            return Some(self.enter_again(index, seen));
        }
        let parent = self.call.map_or(self.place.parent, CallRef::address);
        let execution = Execution::begin(&self.place.trace.upgrade()?.below(parent));
        let entered = execution.enter();
        // Without a strand of its own, the call would go into another one of this thread.
        let strand = entered
            .as_ref()
            .and_then(|_| cursor::here(Position::strand));
        let index = self.begin_visit(strand, Some(execution))?;
        Some(Entry {
            index,
            entered,
            is_immediate: false,
        })
    }

    fn enter_again(&mut self, index: usize, seen: Seen) -> Entry {
        let visit = &mut self.visits[index];
        let strand = if visit.is_own() {
            left::Strand::Own
        } else if self.place.around.is_some() {
            left::Strand::OfAround
        } else {
            left::Strand::Other
        };
        // Meanwhile nobody has been in a strand of the span's own.
        let is_untouched =
            !visit.is_own() || (self.left.visit == index && self.left.turn == visit.turn());
        let is_immediate = is_untouched && self.left.is_recent(seen, &strand);
        self.left.has_dropped = false;
        self.entered += 1;
        Entry {
            index,
            entered: visit.enter(),
            is_immediate,
        }
    }

    /// Begins a visit in the strand of this thread. Returns which one it is; `None` if there is no memory for
    /// it.
    #[inline(always)]
    fn begin_visit(
        &mut self,
        strand: Option<&'static Member<Strand>>,
        execution: Option<Execution>,
    ) -> Option<usize> {
        let index = self.used;
        if index == self.visits.len() {
            self.make_room()?;
        }
        let has_call_elsewhere = execution.is_some() && self.call.is_some();
        let call = if strand.is_some() && !has_call_elsewhere {
            start_stop::start_current(self.callsite, &self.text)
        } else {
            None
        };
        if call.is_some() {
            self.call = call;
        }
        self.used += 1;
        self.entered += 1;
        self.visits[index].begin(strand, call, execution);
        self.left.has_dropped = false;
        if self.failure.is_some()
            && let Some(call) = call
        {
            self.fail_late(call);
        }
        Some(index)
    }

    #[cold]
    fn make_room(&mut self) -> Option<()> {
        alloc_counter::exclude(|| self.visits.try_reserve_exact(1)).ok()?;
        self.visits.push(Visit::UNUSED);
        Some(())
    }

    #[cold]
    fn fail_late(&mut self, call: CallRef) {
        if let Some(why) = self.failure.take() {
            annotate::fail(call, &Text::of(&why));
            alloc_counter::exclude(|| drop(why));
        }
    }

    /// Leaves a visit, and notes how, with what the thread had seen before the entry and has seen now.
    #[inline(always)]
    pub(super) fn leave(
        &mut self,
        index: usize,
        (entered, how): (Option<Entered>, Leave),
        [before, after]: [Seen; 2],
        inside: u64,
        is_immediate: bool,
    ) {
        let Some(visit) = self.visits.get_mut(index) else {
            return;
        };
        visit.leave(entered, how);
        self.entered -= 1;
        let left = &mut self.left;
        left.polled = left.last();
        left.entries += 1;
        left.thread = left::thread();
        left.before = before;
        left.inside = inside;
        left.after = after;
        left.at = visit.left_at();
        left.visit = index;
        left.turn = visit.turn();
        left.allocates_nothing = left.entries > 1 && visit.allocates_nothing();
        left.is_immediate = is_immediate;
        left.has_dropped = false;
    }

    /// Closes the span: its calls stop when they were left. Returns `false` if a visit is entered on
    /// another thread, which will then do this.
    #[inline(always)]
    pub(super) fn close(&mut self, is_cancelled: impl FnOnce(&Left, Option<u32>) -> bool) -> bool {
        if self.is_entered() {
            self.is_closed = true;
            return false;
        }
        let may_be_cancelled = self.left.may_be_cancelled() || self.answer != Answer::Unknown;
        if may_be_cancelled {
            self.close_maybe_cancelled(is_cancelled);
        } else {
            for visit in self.visits[..self.used].iter_mut().rev() {
                visit.finish(false);
            }
        }
        true
    }

    #[cold]
    fn close_maybe_cancelled(&mut self, is_cancelled: impl FnOnce(&Left, Option<u32>) -> bool) {
        let visits = &mut self.visits[..self.used];
        let last = visits.get(self.left.visit);
        let turn = last.and_then(Visit::turn_if_not_over);
        let is_unanswered = self.answer == Answer::Awaited;
        let is_answered = self.answer == Answer::Given(self.left.entries);
        let is_cancelled = (!is_answered && is_cancelled(&self.left, turn)) || is_unanswered;
        for visit in visits.iter_mut().rev() {
            if let (Some(call), true) = (visit.call(), is_unanswered) {
                // Until now it waited for the response.
                call.record.leave(clock::ticks());
            }
            visit.finish(is_cancelled);
        }
    }

    /// Whether the span was closed while it was entered.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }
}

/// Returns the call that is open on this thread, and its trace; `None` if no trace is current.
#[inline]
pub(super) fn place_here(around: Option<SpanRef>, is_root: bool) -> Option<Place> {
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

/// Counts in the current trace that something could not be recorded.
#[cold]
pub(super) fn note_dropped() {
    if let Some(strand) = cursor::here(Position::strand) {
        strand.note_dropped();
    }
}
