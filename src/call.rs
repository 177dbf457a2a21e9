//! A call: the guard of one timed function.

use std::fmt::{self, Display};

use alloc_counter::Local;

use crate::callsite::Callsite;
use crate::clock;
use crate::context;
use crate::pool::Member;
use crate::record::{Address, End, Figures, Kind, Opening, Record, SHORT_TEXT, State};
use crate::strand::{Cancelling, Deed, Open, Stopped, Strand};
use crate::text::Text;
use crate::threads::Tag;

/// The guard of a call: the call stops when this is dropped.
///
/// Made by [`call!`](crate::call!) and [`#[traced]`](crate::traced). Without a current trace it
/// does nothing, and costs a load and a branch.
///
/// May be moved, sent, held over an `.await`, dropped in any order or leaked; the calls around it
/// and beside it stay exact. One that is stopped on a thread that does not run its strand has its
/// time, and the allocations known then, and is marked
/// [`partial`](crate::CallReport::partial).
#[must_use = "the call stops when the guard is dropped: bind it, `let _call = call!();`"]
pub struct Call(Option<Guard>);

/// A call that was recorded, from its start to its stop.
#[derive(Clone, Copy)]
pub(crate) struct Guard {
    strand: &'static Member<Strand>,
    generation: u32,
    address: Address,
    record: &'static Record,
    /// What was open when this was opened, or when the future that it is around was last polled.
    outer: Open,
}

impl Call {
    /// A call that is not recorded.
    #[doc(hidden)]
    #[inline]
    pub const fn none() -> Self {
        Self(None)
    }

    /// For the macros: whether a trace is current, so that formatting is worth its while.
    #[doc(hidden)]
    #[inline]
    pub fn is_wanted() -> bool {
        context::strand().is_some()
    }

    /// For the macros: starts a call.
    #[doc(hidden)]
    #[inline]
    pub fn start(callsite: &'static Callsite) -> Self {
        match context::strand() {
            Some(strand) => Self::open(strand, callsite),
            None => Self::none(),
        }
    }

    /// Out of line, so that a function that opens a call grows by a load and a branch only.
    #[inline(never)]
    fn open(strand: &'static Member<Strand>, callsite: &'static Callsite) -> Self {
        Self(Guard::open(strand, callsite, None))
    }

    /// For the macros: starts a call with an id, labels, or both, as the callsite says.
    #[doc(hidden)]
    pub fn start_with(
        callsite: &'static Callsite,
        id: Option<&dyn Display>,
        labels: &[&dyn Display],
    ) -> Self {
        if !Self::is_wanted() {
            return Self::none();
        }
        // Before anything is read: formatting is foreign code, and may trace.
        let text = Text::of_call(id, labels);
        Self(
            context::strand()
                .and_then(|strand| Guard::open(strand, callsite, Some(text.as_bytes()))),
        )
    }

    /// Sets a checkpoint: a named moment, with the time and the allocations since the one before.
    ///
    /// Names longer than 1,024 bytes are cut. Costs a clock read and a few stores.
    #[inline]
    pub fn checkpoint(&self, name: &str) {
        if let Some(guard) = &self.0 {
            guard.checkpoint(name);
        }
    }

    /// Marks the call as failed, and why; it goes on until it stops. Of several messages the
    /// report has the last.
    ///
    /// ```
    /// use tracer::{Outcome, Trace, call};
    ///
    /// fn parse(input: &str) -> Option<u8> {
    ///     let call = call!();
    ///     input.parse().map_err(|error| call.fail(&error)).ok()
    /// }
    ///
    /// let trace = Trace::new();
    /// let scope = trace.inject();
    /// assert_eq!(parse("300"), None);
    /// drop(scope);
    /// let failed = Outcome::Failed("number too large to fit in target type".to_owned());
    /// assert_eq!(trace.report().calls[0].outcome, failed);
    /// ```
    pub fn fail(&self, why: &(impl Display + ?Sized)) {
        if let Some(guard) = &self.0 {
            guard.fail(&Text::of(&why));
        }
    }

    /// Stops the call, as dropping it does.
    #[inline]
    pub fn stop(self) {
        drop(self);
    }

    /// Whether this call is being recorded.
    pub const fn is_recorded(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn guard(&self) -> Option<Guard> {
        self.0
    }

    pub(crate) fn set_guard(&mut self, guard: Guard) {
        self.0 = Some(guard);
    }

    /// Who takes the guard stops the call.
    pub(crate) fn take_guard(&mut self) -> Option<Guard> {
        self.0.take()
    }
}

impl Drop for Call {
    #[inline]
    fn drop(&mut self) {
        if let Some(guard) = &self.0 {
            guard.stop();
        }
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("is_recorded", &self.is_recorded())
            .finish_non_exhaustive()
    }
}

/// For `#[traced(err)]` on a function that is not async: an error makes the call a failed one.
#[doc(hidden)]
pub fn run_err<T, E: Display>(call: Call, body: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    let result = body();
    if let Err(error) = &result {
        call.fail(error);
    }
    drop(call);
    result
}

/// How the call that stops now has ended.
#[inline]
fn end(strand: &Strand, state: State) -> End {
    let cancelling = strand.cancelling.get();
    let is_panicking = std::thread::panicking() && !state.was_unwinding();
    if is_panicking && cancelling != Cancelling::InPanic {
        End::Panicked
    } else if state.has_failed() {
        End::Failed
    } else if cancelling != Cancelling::No && !state.was_cancelling() {
        End::Cancelled
    } else {
        End::Ok
    }
}

impl Guard {
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "once with a text, once without")]
    fn open(
        strand: &'static Member<Strand>,
        callsite: &'static Callsite,
        text: Option<&[u8]>,
    ) -> Option<Self> {
        let outer = context::open().or_around();
        let long = text.filter(|text| text.len() > SHORT_TEXT);
        let vacant = context::with_position(|position| {
            if let Some(text) = long {
                position.write_long_text(strand, text);
            }
            position.vacant_call(strand)
        });
        let vacant = vacant?;
        let record = vacant.record;
        match text {
            Some(text) if long.is_none() => record.write_short_text(text),
            _ => record.clear_text(),
        }
        let callsite = callsite.number();
        let thread = Tag::current();
        let state = State::new(Kind::Call)
            .unwinding(std::thread::panicking())
            .cancelling(strand.cancelling.get() != Cancelling::No)
            .long_text(long.is_some());
        let local = Local::current();
        let start = clock::ticks();
        let (state, figures) = match read(strand, outer, local, start) {
            Some(reading) => (state, reading),
            None => (state.partial(true), strand.meter.boundary()),
        };
        record.open(&Opening {
            state,
            parent: outer.address,
            callsite,
            thread: thread.to_bits(),
            start,
            figures,
        });
        let address = vacant.publish();
        context::set_open(Open {
            address,
            record: Some(record),
        });
        Some(Self {
            strand,
            generation: context::generation(),
            address,
            record,
            outer,
        })
    }

    #[inline(never)]
    fn stop(&self) {
        let now = clock::ticks();
        if !context::is_in(self.strand, self.generation) {
            let end = end(self.strand, self.record.state());
            return self.stop_from_afar(now, end);
        }
        let innermost = context::open();
        if innermost.address != self.address {
            return self.stop_out_of_order(innermost, now);
        }
        match read(self.strand, innermost, Local::current(), now) {
            Some(reading) => {
                let start = self.record.figures();
                self.close(reading.since(start), now);
                self.uncover(start.peak);
            }
            None => self.stop_without_counters(now),
        }
    }

    #[inline]
    fn close(&self, used: Figures, now: u64) {
        let end = end(self.strand, self.record.state());
        self.record.close(used, now, end);
    }

    /// The call within which this one is: the one that was there when it was opened, unless that
    /// has stopped since.
    #[inline]
    fn outer(&self) -> Open {
        let parent = self.record.parent();
        if self.outer.address == parent {
            self.outer.or_around()
        } else {
            Open::at(parent).or_around()
        }
    }

    /// The call around becomes the innermost; the highest level that this one reached was within
    /// that one, too.
    #[inline]
    fn uncover(&self, highest: i64) {
        let outer = self.outer();
        context::set_open(outer);
        self.strand.raise_peak(outer, highest);
    }

    /// In the last moments of a thread, when its counters have been given back.
    #[cold]
    #[inline(never)]
    fn stop_without_counters(&self, now: u64) {
        let (start, known) = (self.record.figures(), self.strand.meter.boundary());
        self.record.set_partial();
        self.close(known.since_at_most(start), now);
        self.uncover(start.peak);
    }

    /// Other calls were opened within this one and are still open. The first of them goes on
    /// within the call around this one.
    #[cold]
    #[inline(never)]
    fn stop_out_of_order(&self, innermost: Open, now: u64) {
        let (strand, record) = (self.strand, self.record);
        if record.state().is_at_rest() {
            // Held by a future that is put aside, and stopped by somebody else.
            return self.close(record.figures(), now);
        }
        let Some(reading) = read(strand, innermost, Local::current(), now) else {
            record.set_partial();
            return self.close(strand.meter.boundary().since_at_most(record.figures()), now);
        };
        let start = record.figures();
        let highest = self.leave_to_outer(innermost, reading, now);
        let peak = start.peak.max(highest);
        self.close(reading.since(Figures { peak, ..start }), now);
    }

    /// The first call that is running within this one goes on within the call around. Answers the
    /// highest level of those that are.
    fn leave_to_outer(&self, innermost: Open, reading: Figures, now: u64) -> i64 {
        let mut highest = i64::MIN;
        let mut within = innermost;
        let mut first = None;
        while let Some(inner) = within.record
            && within.address != self.address
        {
            if inner.is_running() {
                highest = highest.max(inner.figures().peak);
                first = Some((within.address, inner));
            }
            within = Open::at(inner.parent());
        }
        if let (Some((address, inner)), Some(_found)) = (first, within.record) {
            let outer = self.outer();
            self.strand.raise_peak(outer, highest);
            adopt(
                self.strand,
                address,
                inner,
                outer,
                reading.since(inner.figures()),
                now,
            );
        }
        highest
    }

    /// On a thread that does not run the strand: its counters can't be the call's.
    #[cold]
    #[inline(never)]
    fn stop_from_afar(&self, now: u64, end: End) {
        self.do_from_afar(now, || {
            Deed::Stopped(Stopped {
                end,
                used: self.used_from_afar(self.record),
                left_open: self.left_open_from_afar(),
            })
        });
    }

    #[cold]
    fn do_from_afar(&self, moment: u64, deed: impl FnOnce() -> Deed) {
        let (generation, call) = (self.generation, self.address);
        self.strand.do_from_afar(generation, call, moment, deed);
    }

    /// What a call of the strand has used, as far as it can be known here.
    fn used_from_afar(&self, record: &Record) -> Figures {
        let (state, _, figures) = record.read();
        if state.is_at_rest() {
            return figures;
        }
        match self.strand.meter.read() {
            (reading, true) => reading.since(figures),
            (known, false) => known.since_at_most(figures),
        }
    }

    /// The call that was opened in this one and is open now, and what it has used.
    fn left_open_from_afar(&self) -> Option<(Address, Figures)> {
        let (address, record) = self.strand.records().find(|(_, record)| {
            record.is_call() && record.is_open() && record.parent() == self.address
        })?;
        let is_running = !record.state().is_at_rest();
        is_running.then(|| (address, self.used_from_afar(record)))
    }

    #[inline]
    fn checkpoint(&self, name: &str) {
        let moment = clock::ticks();
        if !context::is_in(self.strand, self.generation) || self.record.state().is_at_rest() {
            return self.checkpoint_from_afar(name, moment);
        }
        let start = self.record.figures();
        let used = match self.strand.meter.reading(Local::current(), moment) {
            Some(reading) => reading.since(start),
            None => self.strand.meter.boundary().since_at_most(start),
        };
        if name.len() <= SHORT_TEXT {
            self.note(Kind::Checkpoint, name.as_bytes(), moment, used);
        } else {
            self.note(Kind::Checkpoint, Text::of(&name).as_bytes(), moment, used);
        }
    }

    #[cold]
    #[inline(never)]
    fn checkpoint_from_afar(&self, name: &str, moment: u64) {
        let name = Text::of(&name);
        self.do_from_afar(moment, || {
            Deed::Checkpoint(name.to_string(), self.used_from_afar(self.record))
        });
    }

    #[cold]
    fn fail(&self, why: &Text) {
        let moment = clock::ticks();
        if context::is_in(self.strand, self.generation) {
            self.note(Kind::Message, why.as_bytes(), moment, Figures::default());
            self.record.set_failed();
        } else {
            self.do_from_afar(moment, || Deed::Failed(why.to_string()));
        }
    }

    /// Writes a record that belongs to this call.
    #[inline]
    fn note(&self, kind: Kind, text: &[u8], moment: u64, figures: Figures) {
        let is_long = text.len() > SHORT_TEXT;
        context::with_position(|position| {
            if is_long {
                position.write_long_text(self.strand, text);
            }
            let Some(vacant) = position.vacant(self.strand) else {
                return;
            };
            if !is_long {
                vacant.record.write_short_text(text);
            }
            let state = State::new(kind).long_text(is_long);
            vacant.record.note(state, self.address, moment, figures);
            vacant.publish();
        });
    }

    /// Puts the call aside, with the calls running within it: until it is taken up again, what
    /// happens on the strand is not in them. Answers the innermost of them. None where this thread
    /// does not run the strand.
    pub(crate) fn rest(&self) -> Option<Open> {
        if !context::is_in(self.strand, self.generation) {
            return None;
        }
        let now = clock::ticks();
        let innermost = context::open();
        let reading = read(self.strand, innermost, Local::current(), now);
        let mut highest = i64::MIN;
        self.each_open(innermost, |record| {
            let mut start = record.figures();
            start.peak = start.peak.max(highest);
            highest = start.peak;
            if let Some(reading) = reading {
                record.rest(reading.since(start));
            } else {
                record.set_partial();
                record.rest(self.strand.meter.boundary().since_at_most(start));
            }
        });
        self.uncover(highest);
        Some(innermost)
    }

    /// Puts the call aside alone: what is running within it goes on within the call around.
    pub(crate) fn rest_alone(&self) -> Option<Open> {
        let innermost = context::open();
        if innermost.address != self.address && context::is_in(self.strand, self.generation) {
            let now = clock::ticks();
            let reading = read(self.strand, innermost, Local::current(), now)?;
            let mut start = self.record.figures();
            start.peak = start.peak.max(self.leave_to_outer(innermost, reading, now));
            self.record.rest(reading.since(start));
            return Some(Open {
                address: self.address,
                record: Some(self.record),
            });
        }
        self.rest()
    }

    /// Takes the call up again, with the calls open within it; `innermost` as
    /// [`rest`](Self::rest) answered. None where this thread does not run the strand.
    pub(crate) fn resume(&self, innermost: Open) -> Option<Self> {
        if !context::is_in(self.strand, self.generation) {
            return None;
        }
        let now = clock::ticks();
        let outer = context::open().or_around();
        let reading = read(self.strand, outer, Local::current(), now)
            .unwrap_or_else(|| self.strand.meter.boundary());
        if outer.address != self.record.parent() {
            let so_far = self.record.figures();
            adopt(self.strand, self.address, self.record, outer, so_far, now);
        }
        self.each_open(innermost, |record| {
            record.resume(reading.start_for(record.figures()));
        });
        context::set_open(innermost);
        Some(Self { outer, ..*self })
    }

    /// The open calls from `innermost` outwards, this one the last.
    fn each_open(&self, innermost: Open, mut visit: impl FnMut(&'static Record)) {
        let mut call = innermost;
        while let Some(record) = call.record {
            if record.is_open() {
                visit(record);
            }
            if call.address == self.address {
                break;
            }
            call = Open::at(record.parent());
        }
    }

    /// Runs `work`, which drops the future that the call is around, and stops the call. What stops
    /// meanwhile is cancelled with it.
    pub(crate) fn cancel(&self, work: impl FnOnce()) {
        if context::is_in(self.strand, self.generation) {
            let _cancelled = Cancelled {
                guard: self,
                before: self.strand.cancelling.begin(),
            };
            work();
        } else {
            work();
            self.stop_from_afar(clock::ticks(), End::Cancelled);
        }
    }

    pub(crate) fn mark_partial(&self) {
        self.record.set_partial();
    }
}

/// Stops a call whose future has been dropped, even where a panic came from that.
struct Cancelled<'a> {
    guard: &'a Guard,
    before: Cancelling,
}

impl Drop for Cancelled<'_> {
    fn drop(&mut self) {
        self.guard.stop();
        self.guard.strand.cancelling.set(self.before);
    }
}

/// The strand's reading now; draws a boundary in the levels, so that the highest since the last is
/// in `innermost`. None where the thread has lost its counters.
#[inline]
fn read(strand: &Strand, innermost: Open, local: Option<Local>, now: u64) -> Option<Figures> {
    let local = local?;
    let reading = strand.meter.reading(Some(local), now)?;
    strand.raise_peak(innermost, strand.meter.level(local.take_peak()));
    Some(reading)
}

/// Lets a call go on within another, and notes what it had done until then.
#[cold]
fn adopt(strand: &Strand, call: Address, record: &Record, within: Open, so_far: Figures, now: u64) {
    if let Some(vacant) = context::with_position(|position| position.vacant(strand)) {
        let state = State::new(Kind::Adoption);
        vacant.record.note(state, record.parent(), now, so_far);
        vacant.record.set_adopted(call);
        vacant.publish();
    }
    record.set_parent(within.address);
}
