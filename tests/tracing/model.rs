//! A naive model of spans on two threads, or on a thread and in tasks, which take turns: which calls a program of spans
//! makes, and what each of them has allocated.
//!
//! An allocation is in the innermost running call of the strand that counts, in each trace, and in the
//! calls around it. Nothing here knows how the layer does it.

mod tasks;

use tracer::alloc::Counts;

use tasks::{Elsewhere, Left, Tasks};

pub(crate) use tasks::MOST as MOST_TASKS;

/// One step of a program. An index is taken modulo the number of candidates.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// Makes a span.
    New(Parent),
    /// Enters the span of a handle.
    Enter(usize),
    /// Leaves a span that was entered.
    Exit(usize),
    Clone(usize),
    /// Drops a handle; the last one closes the span, although it may be entered.
    Drop(usize),
    Record(usize),
    /// Notes that a handle's span follows from another: that changes nothing.
    Follow(usize, usize),
    /// Emits an event, with a field `error` or without.
    Event(bool),
    /// Emits an event of a handle's span.
    EventOf(usize, bool),
    /// Opens a guard of `call!`.
    Open,
    Stop(usize),
    /// Allocates and frees a block.
    Spike(usize),
    Keep(usize),
    Free(usize),
    /// Makes a trace current, one of two.
    Inject(bool),
    /// Ends the scope that was begun last.
    Leave,
    /// Prints the reports.
    Print,
    /// From now on, the other thread goes on. If there is such a step, an entered span is kept open.
    Turn,
    /// Spawns a task that is instrumented with a handle's span. Its first poll does nothing.
    Spawn(usize),
    /// From now on, the first thread goes on, or a task, which is polled unless it is in the middle of a poll.
    Go(usize),
    /// Ends the task's poll, which leaves what it has entered. The first thread goes on.
    Yield,
    /// Ends the task, in its poll.
    Finish,
    /// Aborts a task: its future is dropped, at the end of its poll if it is in one.
    Abort(usize),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Parent {
    Contextual,
    Root,
    Handle(usize),
}

/// What a call must be in the report.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Expected {
    pub(crate) id: Option<String>,
    pub(crate) label: Option<String>,
    pub(crate) parent: Option<usize>,
    pub(crate) total: Counts,
    pub(crate) own: Counts,
    pub(crate) checkpoints: Vec<String>,
    pub(crate) failed: Option<String>,
}

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "a naive model")]
pub(crate) struct Call {
    pub(crate) trace: usize,
    pub(crate) expected: Expected,
    /// It ended, or its span was left, on a thread that did not run its strand at that moment: the figures
    /// are as expected, or marked.
    pub(crate) may_be_partial: bool,
    /// It looks like a future that was dropped before it was ready.
    pub(crate) may_be_cancelled: bool,
    strand: usize,
    /// The call around it now, in its strand.
    within: Option<usize>,
    /// The calls that were suspended with it, as far as they are open, and whether there were any.
    inside: Vec<usize>,
    had_inside: bool,
    is_stopped: bool,
    /// The span with which it was suspended is closed.
    is_orphan: bool,
}

#[derive(Debug)]
struct Strand {
    trace: usize,
    parent: Option<usize>,
    /// The calls around the strand when it began.
    around: Vec<usize>,
    running: Vec<usize>,
    allocates: u64,
    is_over: bool,
}

/// A strand in which a span was entered, and the call that stands for the span there: none in a strand below
/// the span's own call.
#[derive(Clone, Copy, Debug)]
struct Visit {
    strand: usize,
    is_own: bool,
    call: Option<usize>,
    /// The thread that left it last, and what that had seen then.
    left: (bool, u64),
}

#[derive(Debug, Default)]
struct Span {
    /// The trace, and the call below which the span's strands are.
    place: Option<(usize, Option<usize>)>,
    around: Option<usize>,
    label: Option<String>,
    failed: Option<String>,
    last_call: Option<usize>,
    waiting: Vec<Visit>,
    entries: u32,
    /// What had been allocated in the strand when the span was last entered and left, and what the thread had
    /// seen then.
    allocated: (u64, u64),
    left: u64,
    /// The strand in which it was left last.
    left_in: Option<usize>,
    /// The future of a span inside may have been dropped since.
    may_have_dropped: bool,
    /// It was made with `parent: None`, or inside such a span.
    is_root: bool,
    /// Handles and children of the registry's.
    references: usize,
    registry_parent: Option<usize>,
    is_closed: bool,
}

/// A span that the thread has entered.
#[derive(Debug)]
struct Entry {
    span: usize,
    depth: u32,
    visit: Visit,
    is_known: bool,
    /// What had been allocated in the strand before.
    allocated: u64,
}

/// A thread.
#[derive(Debug, Default)]
struct Here {
    is_other: bool,
    /// The strands that it has entered, and the spans.
    stack: Vec<usize>,
    entered: Vec<Entry>,
    /// The registry's stack, with what was in it already.
    registry: Vec<(usize, bool)>,
    scopes: Vec<usize>,
    guards: Vec<Option<usize>>,
    entries: Vec<usize>,
    /// Spans that were entered, left or made, and events.
    seen: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) calls: Vec<Call>,
    /// A strand is below a suspended guard whose span is closed: it is not said which calls are around.
    pub(crate) is_vague: bool,
    /// Several tasks that have a span in common wait. It depends on the workers that poll them which of them goes on in
    /// which strand.
    pub(crate) are_mixed: bool,
    /// Which steps must not be taken.
    pub(crate) is_skipped: Vec<bool>,
    /// For each task that is over, the last of its guards first, whether the guard is stopped with it.
    pub(crate) stopped: Vec<Vec<bool>>,
    /// The guards that are not stopped, from the inside out.
    pub(crate) left: Vec<Left>,
    strands: Vec<Strand>,
    spans: Vec<Span>,
    here: Here,
    /// The other thread.
    there: Here,
    tasks: Tasks,
    /// An entered span is not closed.
    pub(crate) keeps_open: bool,
    handles: Vec<usize>,
    kept: Vec<usize>,
    steps: u64,
}

impl Model {
    pub(crate) fn of(program: &[Step]) -> Self {
        let mut model = Self {
            keeps_open: { program.iter() }.any(|step| matches!(step, Step::Turn | Step::Spawn(_))),
            ..Self::default()
        };
        model.there.is_other = true;
        for step in program {
            let is_skipped = match step {
                Step::Stop(which) if !model.here.guards.is_empty() => {
                    !model.may_stop(which % model.here.guards.len())
                }
                _ => false,
            };
            model.is_skipped.push(is_skipped);
            model.step(*step);
            model.steps += 1;
        }
        model.left = model.left();
        let left = model.left.iter().map(|left| left.call);
        let there = model.there.guards.iter().copied().flatten();
        for call in left.chain(there) {
            model.calls[call].may_be_partial = true;
        }
        model
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::New(parent) => self.new_span(parent),
            Step::Enter(which) if !self.handles.is_empty() => {
                let span = self.handles[which % self.handles.len()];
                self.here.entries.push(span);
                self.spans[span].references += usize::from(self.keeps_open);
                self.enter(span);
            }
            Step::Exit(which) if !self.here.entries.is_empty() => {
                let span = self.here.entries.remove(which % self.here.entries.len());
                self.exit(span);
                if self.keeps_open {
                    self.release(span);
                }
            }
            Step::Clone(which) if !self.handles.is_empty() => {
                let span = self.handles[which % self.handles.len()];
                self.spans[span].references += 1;
                self.handles.push(span);
            }
            Step::Drop(which) if !self.handles.is_empty() => {
                let span = self.handles.remove(which % self.handles.len());
                self.release(span);
            }
            Step::Record(which) if !self.handles.is_empty() => {
                let span = self.handles[which % self.handles.len()];
                self.record(span);
            }
            Step::Event(has_error) => self.event(has_error),
            Step::EventOf(which, has_error) if !self.handles.is_empty() => {
                let span = self.handles[which % self.handles.len()];
                self.event_of(span, has_error);
            }
            Step::Open => {
                let id = format!("g{}", self.here.guards.len());
                let call =
                    { self.here.stack.last().copied() }.map(|strand| self.start(strand, Some(id)));
                self.here.guards.push(call);
            }
            Step::Stop(which) if !self.here.guards.is_empty() => {
                let which = which % self.here.guards.len();
                if self.may_stop(which)
                    && let Some(call) = self.here.guards[which].take()
                {
                    self.stop(call);
                }
            }
            Step::Spike(size) => self.count(Counts {
                allocations: 1,
                deallocations: 1,
                reallocations: 0,
                bytes_allocated: size as u64,
                bytes_deallocated: size as u64,
            }),
            Step::Keep(size) => {
                self.kept.push(size);
                self.count(Counts {
                    allocations: 1,
                    bytes_allocated: size as u64,
                    ..Counts::ZERO
                });
            }
            Step::Free(which) if !self.kept.is_empty() => {
                let size = self.kept.swap_remove(which % self.kept.len());
                self.count(Counts {
                    deallocations: 1,
                    bytes_deallocated: size as u64,
                    ..Counts::ZERO
                });
            }
            Step::Inject(which) => {
                let strand = self.new_strand(usize::from(which), None);
                self.here.stack.push(strand);
                self.here.scopes.push(strand);
            }
            Step::Leave => self.leave_scope(),
            Step::Turn => std::mem::swap(&mut self.here, &mut self.there),
            Step::Spawn(which) => self.spawn(which),
            Step::Go(which) => self.go(which),
            Step::Yield => self.end_poll(false),
            Step::Finish => self.end_poll(true),
            Step::Abort(which) => self.abort(which),
            _ => {}
        }
    }

    fn leave_scope(&mut self) {
        if let Some(strand) = self.here.scopes.pop() {
            self.here.stack.retain(|entered| *entered != strand);
            self.strands[strand].is_over = true;
        }
    }

    fn count(&mut self, counts: Counts) {
        for trace in 0..2 {
            let Some(strand) = self.counting(trace) else {
                continue;
            };
            self.strands[strand].allocates += counts.allocates();
            let strand = &self.strands[strand];
            let chain = || strand.around.iter().chain(&strand.running);
            for call in chain() {
                self.calls[*call].expected.total += counts;
            }
            if let Some(innermost) = chain().last() {
                self.calls[*innermost].expected.own += counts;
            }
        }
    }

    /// Returns the strand of a trace that this thread runs. It pauses the others of its trace.
    fn counting(&self, trace: usize) -> Option<usize> {
        let mut entered = self.here.stack.iter().rev();
        entered
            .find(|it| self.strands[**it].trace == trace)
            .copied()
    }

    /// Returns the innermost call of a strand, or what the strand is below.
    fn open_in(&self, strand: usize) -> Option<usize> {
        let strand = &self.strands[strand];
        strand.running.last().copied().or(strand.parent)
    }

    fn new_strand(&mut self, trace: usize, parent: Option<usize>) -> usize {
        let parent = parent.or_else(|| self.open_in(self.counting(trace)?));
        let around = parent.map_or_else(Vec::new, |parent| self.around(parent));
        self.is_vague |= around.iter().any(|call| self.calls[*call].is_orphan);
        self.strands.push(Strand {
            trace,
            parent,
            around,
            running: Vec::new(),
            allocates: 0,
            is_over: false,
        });
        self.strands.len() - 1
    }

    /// Returns a call and those around it, the outermost first.
    fn around(&self, call: usize) -> Vec<usize> {
        let Call { within, strand, .. } = self.calls[call];
        let outer = within.or(self.strands[strand].parent);
        let outer = outer.map_or_else(Vec::new, |outer| self.around(outer));
        [outer, vec![call]].concat()
    }

    fn start(&mut self, strand: usize, id: Option<String>) -> usize {
        let call = self.calls.len();
        let Strand { trace, running, .. } = &mut self.strands[strand];
        let within = running.last().copied();
        running.push(call);
        self.calls.push(Call {
            trace: *trace,
            expected: Expected {
                id,
                parent: within.or(self.strands[strand].parent),
                ..Expected::default()
            },
            may_be_partial: false,
            may_be_cancelled: false,
            strand,
            within,
            inside: Vec::new(),
            had_inside: false,
            is_stopped: false,
            is_orphan: false,
        });
        call
    }

    /// Takes a call out of those that run. Those inside go on in the call around.
    fn take_out(&mut self, call: usize) -> bool {
        let running = &mut self.strands[self.calls[call].strand].running;
        let Some(place) = running.iter().position(|it| *it == call) else {
            return false;
        };
        running.remove(place);
        if let Some(inside) = running.get(place) {
            self.calls[*inside].within = self.calls[call].within;
        }
        true
    }

    fn suspend(&mut self, call: usize, is_alone: bool) {
        self.calls[call].had_inside = false;
        if is_alone {
            self.take_out(call);
            return;
        }
        let running = &mut self.strands[self.calls[call].strand].running;
        if let Some(place) = running.iter().position(|it| *it == call) {
            let mut suspended = running.split_off(place);
            suspended.remove(0);
            self.calls[call].had_inside = !suspended.is_empty();
            self.calls[call].inside = suspended;
        }
    }

    fn resume(&mut self, call: usize) {
        let running = &mut self.strands[self.calls[call].strand].running;
        self.calls[call].within = running.last().copied();
        running.push(call);
        running.append(&mut self.calls[call].inside);
    }

    fn stop(&mut self, call: usize) {
        self.calls[call].is_stopped = true;
        if self.take_out(call) {
            return;
        }
        // It is suspended. Those inside it are now in the call around.
        let around = self.calls[call].within;
        let orphans = std::mem::take(&mut self.calls[call].inside);
        for orphan in &orphans {
            self.calls[*orphan].is_orphan = true;
        }
        // So are those that were suspended before it, unless a span is closed in which nothing was open when it was left.
        let had_inside = self.calls[call].had_inside;
        let is_guard = matches!(&self.calls[call].expected.id, Some(id) if id.starts_with('g'));
        let outer = self.open_from(around);
        let is_inside = |it: &&mut Call| it.within == Some(call) && !it.is_stopped;
        let inside = self.calls.iter_mut().filter(is_inside);
        for inside in inside.filter(|_| is_guard || had_inside) {
            inside.within = outer;
        }
        if let [inside, ..] = *orphans {
            self.calls[inside].within = self.open_from(around);
        }
        for owner in &mut self.calls {
            if let Some(place) = owner.inside.iter().position(|it| *it == call) {
                owner.inside.remove(place);
                if let Some(inside) = owner.inside.get(place).copied() {
                    self.calls[inside].within = self.open_from(around);
                }
                return;
            }
        }
    }

    fn open_from(&self, call: Option<usize>) -> Option<usize> {
        let mut next = call;
        while let Some(call) = next
            && self.calls[call].is_stopped
        {
            next = self.calls[call].within;
        }
        next
    }

    /// Whether this thread runs the strand of a guard, or it has ended: elsewhere, guards are not exact.
    fn may_stop(&self, guard: usize) -> bool {
        self.here.guards[guard].is_none_or(|call| {
            let strand = self.calls[call].strand;
            self.here.stack.last() == Some(&strand)
        })
    }

    fn check_strand(&mut self, call: usize) {
        if self.here.stack.last() != Some(&self.calls[call].strand) {
            self.calls[call].may_be_partial = true;
        }
    }

    fn new_span(&mut self, parent: Parent) {
        let is_root = matches!(parent, Parent::Root);
        let parent = match parent {
            Parent::Handle(which) if !self.handles.is_empty() => {
                Some(self.handles[which % self.handles.len()])
            }
            Parent::Handle(_) => return,
            _ => None,
        }
        .map_or(
            if matches!(parent, Parent::Root) {
                Err(None)
            } else {
                Err(self.current())
            },
            Ok,
        );
        let registry_parent = parent.unwrap_or_else(|current| current.unwrap_or(usize::MAX));
        let registry_parent = (registry_parent != usize::MAX).then_some(registry_parent);
        if let Some(parent) = registry_parent {
            self.spans[parent].references += 1;
        }
        let explicit = parent.ok().and_then(|parent| {
            let (trace, call) = self.spans[parent].place?;
            Some(((trace, self.spans[parent].last_call.or(call)), Some(parent)))
        });
        let known = self.here.entered.iter().rev().find(|entry| entry.is_known);
        let here = explicit.or_else(|| {
            let strand = *self.here.stack.last()?;
            let place = (self.strands[strand].trace, self.open_in(strand));
            Some((place, known.map(|entry| entry.span)))
        });
        if here.is_some() {
            self.here.seen += 1;
        }
        let is_root = match explicit {
            Some((_, around)) => around.is_some_and(|around| self.spans[around].is_root),
            None => is_root && here.is_some(),
        };
        let (place, around) = here.unzip();
        self.handles.push(self.spans.len());
        self.spans.push(Span {
            place,
            around: around.flatten(),
            references: 1,
            registry_parent,
            is_root,
            ..Span::default()
        });
    }

    /// Returns the registry's current span.
    fn current(&self) -> Option<usize> {
        let mut stack = self.here.registry.iter().rev();
        let (span, _) = *stack.find(|(_, is_again)| !is_again)?;
        (!self.spans[span].is_closed).then_some(span)
    }

    fn enter(&mut self, span: usize) {
        let is_again = self.here.registry.iter().any(|(it, _)| *it == span);
        self.here.registry.push((span, is_again));
        if let Some(entry) = self
            .here
            .entered
            .iter_mut()
            .find(|entry| entry.span == span)
        {
            entry.depth += 1;
            return;
        }
        let current = self.here.stack.last().copied();
        let Some((trace, _)) = self.spans[span].place else {
            if let Some(strand) = current {
                self.visit_unknown(span, strand);
            }
            return;
        };
        match current {
            Some(strand) if self.is_visited(span, strand, trace) => self.visit(span, strand),
            // A root does not take its trace along.
            Some(strand) if self.spans[span].is_root => self.visit_unknown(span, strand),
            None if self.spans[span].is_root => {}
            _ => self.visit_apart(span),
        }
    }

    /// Whether a span is a call in this strand: one of its trace, and that of its call if it has one.
    fn is_visited(&self, span: usize, strand: usize, trace: usize) -> bool {
        let span = &self.spans[span];
        let is_here = |visit: &Visit| visit.strand == strand && !visit.is_own;
        let may_begin = span.last_call.is_none() || span.is_root;
        self.strands[strand].trace == trace && (may_begin || span.waiting.iter().any(is_here))
    }

    /// Starts a call for a span that is not of the trace.
    fn visit_unknown(&mut self, span: usize, strand: usize) {
        let visit = Visit {
            strand,
            call: Some(self.start(strand, None)),
            is_own: false,
            left: (false, 0),
        };
        self.push(span, visit, false);
    }

    /// Goes on in a strand, or starts a call there.
    fn visit(&mut self, span: usize, strand: usize) {
        let waiting = &mut self.spans[span].waiting;
        let is_here = |visit: &Visit| visit.strand == strand && !visit.is_own;
        let visit = match waiting.iter().position(is_here) {
            Some(place) => waiting.remove(place),
            None => Visit {
                strand,
                is_own: false,
                call: Some(self.start_of(span, strand)),
                left: (false, 0),
            },
        };
        self.go_on(span, visit);
    }

    /// Goes on in a strand of the span's own, or in a new one: below the span's call, if it has one.
    fn visit_apart(&mut self, span: usize) {
        let Span {
            waiting,
            place,
            last_call,
            left_in,
            ..
        } = &mut self.spans[span];
        let last_call = *last_call;
        // The one that this thread has just left, the one that was left last, or the oldest: tasks that have a span in
        // common are not told apart.
        let now = (self.here.is_other, self.here.seen);
        let is_other = |visit: &Visit| (visit.left != now, Some(visit.strand) != *left_in);
        let own = || waiting.iter().enumerate().filter(|(_, visit)| visit.is_own);
        let first = own().min_by_key(|(_, visit)| (is_other(visit), visit.strand));
        self.are_mixed |= self.tasks.are_used() && own().count() > 1;
        let visit = if let Some(place) = first.map(|(place, _)| place) {
            waiting.remove(place)
        } else {
            let (trace, parent) = place.unwrap();
            let strand = self.new_strand(trace, last_call.or(parent));
            let call = last_call.is_none().then(|| self.start_of(span, strand));
            Visit {
                strand,
                is_own: true,
                call,
                left: (false, 0),
            }
        };
        self.here.stack.push(visit.strand);
        self.go_on(span, visit);
    }

    fn go_on(&mut self, span: usize, visit: Visit) {
        if let Some(call) = visit.call
            && !self.strands[visit.strand].running.contains(&call)
        {
            self.resume(call);
        }
        self.push(span, visit, true);
    }

    fn start_of(&mut self, span: usize, strand: usize) -> usize {
        let call = self.start(strand, Some(format!("s{span}")));
        let span = &mut self.spans[span];
        span.last_call = Some(call);
        self.calls[call].expected.label.clone_from(&span.label);
        self.calls[call].expected.failed = span.failed.take();
        call
    }

    fn push(&mut self, span: usize, visit: Visit, is_known: bool) {
        self.here.seen += 1;
        let it = &mut self.spans[span];
        it.entries += 1;
        it.may_have_dropped = false;
        self.here.entered.push(Entry {
            span,
            depth: 1,
            visit,
            is_known,
            allocated: self.strands[visit.strand].allocates,
        });
    }

    fn exit(&mut self, span: usize) {
        if let Some(place) = self.here.registry.iter().rposition(|(it, _)| *it == span) {
            self.here.registry.remove(place);
        }
        if let Some(place) = self
            .here
            .entered
            .iter()
            .position(|entry| entry.span == span)
        {
            let entry = &mut self.here.entered[place];
            entry.depth -= 1;
            if entry.depth == 0 {
                self.leave(place);
            }
        }
    }

    fn leave(&mut self, place: usize) {
        let Entry {
            span,
            visit,
            is_known,
            allocated,
            ..
        } = self.here.entered.remove(place);
        let strand = visit.strand;
        let is_same = |entry: &Entry| entry.visit.strand == strand;
        let is_alone = self.here.entered[place..].iter().any(is_same);
        self.here.seen += 1;
        let has_strand = self.here.stack.contains(&strand);
        match visit.call {
            Some(call) if !has_strand => {
                // It has stopped, and the thread does not know its figures.
                self.calls[call].may_be_partial = true;
                self.stop(call);
            }
            Some(call) if !is_known => self.stop(call),
            Some(call) => self.suspend(call, is_alone),
            None => {}
        }
        if is_known {
            let it = &mut self.spans[span];
            it.allocated = (allocated, self.strands[strand].allocates);
            it.left = self.here.seen;
            it.left_in = Some(strand);
            if has_strand || visit.call.is_none() {
                let left = (self.here.is_other, self.here.seen);
                it.waiting.push(Visit { left, ..visit });
            }
        }
        if visit.is_own {
            self.here.stack.retain(|entered| *entered != strand);
            self.mark_entered(strand);
        }
    }

    /// Marks the calls that go on in a strand that the thread has left.
    fn mark_entered(&mut self, strand: usize) {
        for entry in &self.here.entered {
            if let (Some(call), true) = (entry.visit.call, entry.visit.strand == strand) {
                self.calls[call].may_be_partial = true;
            }
        }
    }

    /// Drops a reference to a span.
    fn release(&mut self, span: usize) {
        self.spans[span].references -= 1;
        if self.spans[span].references > 0 {
            return;
        }
        if let Some(place) = self
            .here
            .entered
            .iter()
            .position(|entry| entry.span == span)
        {
            self.leave(place);
        }
        let it = &mut self.spans[span];
        it.is_closed = true;
        let is_at_once = it.left == self.here.seen || self.tasks.are_used();
        let is_quiet = it.allocated.0 == it.allocated.1 && is_at_once;
        let may_be_cancelled = match self.tasks.ends {
            Some(Elsewhere { is_cancelled, of }) if of == span => is_cancelled,
            _ => it.may_have_dropped || (it.entries > 1 && is_quiet),
        };
        let around = it.around;
        let waiting = std::mem::take(&mut it.waiting);
        if let (Some(around), true) = (around, may_be_cancelled)
            && !self.here.entered.iter().any(|entry| entry.span == around)
        {
            self.spans[around].may_have_dropped = true;
        }
        for visit in waiting {
            if let Some(call) = visit.call {
                self.calls[call].may_be_cancelled = may_be_cancelled;
                self.stop(call);
            }
            if visit.is_own {
                self.strands[visit.strand].is_over = true;
                self.mark_entered(visit.strand);
            }
        }
        if let Some(parent) = self.spans[span].registry_parent {
            self.release(parent);
        }
    }

    fn record(&mut self, span: usize) {
        let label = self.steps.to_string();
        let span = &mut self.spans[span];
        if span.place.is_some() {
            if let Some(call) = span.last_call {
                self.calls[call].expected.label = Some(label.clone());
            }
            span.label = Some(label);
        }
    }

    fn event(&mut self, has_error: bool) {
        let Some(strand) = self.here.stack.last().copied() else {
            return;
        };
        self.here.seen += 1;
        let call_of = |entry: &Entry| {
            let call = entry.visit.call.or(self.spans[entry.span].last_call);
            Some((call?, entry.visit.strand))
        };
        let of_span = self.here.entered.iter().rev().find_map(call_of);
        // In a strand below the span's call, that call.
        let of_strand = of_span.filter(|of_span| of_span.1 == strand);
        let innermost = self.strands[strand].running.last().copied();
        if let Some(call) = innermost.or(of_strand.map(|(call, _)| call)) {
            self.checkpoint(call, has_error);
            if innermost.is_none() {
                let strand = self.calls[call].strand;
                self.calls[call].may_be_partial |= self.strands[strand].running.contains(&call);
            }
        }
        if let (Some((call, _)), true) = (of_span, has_error) {
            self.calls[call].expected.failed = Some(self.steps.to_string());
        }
    }

    fn event_of(&mut self, span: usize, has_error: bool) {
        let failed = has_error.then(|| self.steps.to_string());
        if let Some(call) = self.spans[span].last_call {
            self.checkpoint(call, has_error);
            let strand = self.calls[call].strand;
            if self.strands[strand].running.contains(&call) {
                self.check_strand(call);
            }
            if has_error {
                self.calls[call].expected.failed = failed;
            }
        } else if self.spans[span].place.is_some() && has_error {
            self.spans[span].failed = failed;
        }
    }

    fn checkpoint(&mut self, call: usize, has_error: bool) {
        let steps = self.steps;
        let error = if has_error {
            format!(" error={steps}")
        } else {
            String::new()
        };
        let name = format!("e{steps}{error}");
        self.calls[call].expected.checkpoints.push(name);
    }
}
