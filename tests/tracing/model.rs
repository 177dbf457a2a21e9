//! A naive model of spans on one thread: which calls a program of spans makes, and what each of them has
//! allocated.
//!
//! An allocation is in the innermost running call of the strand that counts, in each trace, and in the
//! calls around it. Nothing here knows how the layer does it.

use tracer::alloc::Counts;

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
pub(crate) struct Call {
    pub(crate) trace: usize,
    pub(crate) expected: Expected,
    /// It ended, or its span was left, on a thread that did not run its strand at that moment: the figures
    /// are as expected, or marked.
    pub(crate) may_be_partial: bool,
    /// It looks like a future that was dropped before it was ready.
    pub(crate) may_be_cancelled: bool,
    strand: usize,
    /// What it has allocated there.
    in_strand: u64,
    /// The call around it now, in its strand.
    within: Option<usize>,
    /// The calls that were suspended with it.
    inside: Vec<usize>,
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
    is_of_span: bool,
    is_over: bool,
}

/// A call that stands for a span, in one strand.
#[derive(Clone, Debug)]
struct Visit {
    strand: usize,
    call: usize,
    entries: u32,
    /// What the call had allocated, and what the thread had done, when the span was entered and left last.
    entered: (u64, u64),
    left: (u64, u64),
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
    /// Spans inside that were entered, and this one with them.
    held: u32,
    with: Vec<usize>,
    visit: Visit,
    is_known: bool,
    /// The thread has the strand by this span.
    is_owner: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) calls: Vec<Call>,
    /// A strand is below a suspended guard whose span is closed: it is not said which calls are around.
    pub(crate) is_vague: bool,
    /// Which steps must not be taken.
    pub(crate) is_skipped: Vec<bool>,
    strands: Vec<Strand>,
    spans: Vec<Span>,
    /// The strands that the thread has entered, and the spans.
    stack: Vec<usize>,
    entered: Vec<Entry>,
    /// The registry's stack, with what was in it already.
    registry: Vec<(usize, bool)>,
    scopes: Vec<usize>,
    guards: Vec<Option<usize>>,
    handles: Vec<usize>,
    entries: Vec<usize>,
    kept: Vec<usize>,
    steps: u64,
    /// Spans that were entered, left or made, and events.
    seen: u64,
}

impl Model {
    pub(crate) fn of(program: &[Step]) -> Self {
        let mut model = Self::default();
        for step in program {
            let is_skipped = match step {
                Step::Stop(which) if !model.guards.is_empty() => {
                    !model.may_stop(which % model.guards.len())
                }
                _ => false,
            };
            model.is_skipped.push(is_skipped);
            model.step(*step);
            model.steps += 1;
        }
        for call in std::mem::take(&mut model.guards).into_iter().flatten() {
            model.calls[call].may_be_partial = true;
        }
        model
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::New(parent) => self.new_span(parent),
            Step::Enter(which) if !self.handles.is_empty() => {
                let span = self.handles[which % self.handles.len()];
                self.entries.push(span);
                self.enter(span);
            }
            Step::Exit(which) if !self.entries.is_empty() => {
                let span = self.entries.remove(which % self.entries.len());
                self.exit(span);
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
                let id = format!("g{}", self.guards.len());
                let call =
                    { self.stack.last().copied() }.map(|strand| self.start(strand, Some(id)));
                self.guards.push(call);
            }
            Step::Stop(which) if !self.guards.is_empty() => {
                let which = which % self.guards.len();
                if self.may_stop(which)
                    && let Some(call) = self.guards[which].take()
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
                let strand = self.new_strand(usize::from(which), None, false);
                self.stack.push(strand);
                self.scopes.push(strand);
            }
            Step::Leave => {
                if let Some(strand) = self.scopes.pop() {
                    self.stack.retain(|entered| *entered != strand);
                    self.strands[strand].is_over = true;
                }
            }
            _ => {}
        }
    }

    fn count(&mut self, counts: Counts) {
        for trace in 0..2 {
            let Some(strand) = self.counting(trace) else {
                continue;
            };
            let strand = &self.strands[strand];
            let chain = || strand.around.iter().chain(&strand.running);
            for call in chain() {
                self.calls[*call].expected.total += counts;
            }
            if let Some(innermost) = chain().last() {
                self.calls[*innermost].expected.own += counts;
            }
            for call in &strand.running {
                self.calls[*call].in_strand += counts.allocates();
            }
        }
    }

    /// Returns the strand of a trace that this thread runs. It pauses the others of its trace.
    fn counting(&self, trace: usize) -> Option<usize> {
        let mut entered = self.stack.iter().rev();
        entered
            .find(|it| self.strands[**it].trace == trace)
            .copied()
    }

    /// Returns the innermost call of a strand, or what the strand is below.
    fn open_in(&self, strand: usize) -> Option<usize> {
        let strand = &self.strands[strand];
        strand.running.last().copied().or(strand.parent)
    }

    fn new_strand(&mut self, trace: usize, parent: Option<usize>, is_of_span: bool) -> usize {
        let parent = parent.or_else(|| self.open_in(self.counting(trace)?));
        let around = parent.map_or_else(Vec::new, |parent| self.around(parent));
        self.is_vague |= around.iter().any(|call| self.calls[*call].is_orphan);
        self.strands.push(Strand {
            trace,
            parent,
            around,
            running: Vec::new(),
            is_of_span,
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
            in_strand: 0,
            within,
            inside: Vec::new(),
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
        if is_alone {
            self.take_out(call);
            return;
        }
        let running = &mut self.strands[self.calls[call].strand].running;
        if let Some(place) = running.iter().position(|it| *it == call) {
            let mut suspended = running.split_off(place);
            suspended.remove(0);
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
        self.guards[guard].is_none_or(|call| {
            let strand = self.calls[call].strand;
            self.stack.last() == Some(&strand)
        })
    }

    fn check_strand(&mut self, call: usize) {
        if self.stack.last() != Some(&self.calls[call].strand) {
            self.calls[call].may_be_partial = true;
        }
    }

    fn new_span(&mut self, parent: Parent) {
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
        let known = self.entered.iter().rev().find(|entry| entry.is_known);
        let here = explicit.or_else(|| {
            let strand = *self.stack.last()?;
            let place = (self.strands[strand].trace, self.open_in(strand));
            Some((place, known.map(|entry| entry.span)))
        });
        if here.is_some() {
            self.seen += 1;
        }
        let (place, around) = here.unzip();
        self.handles.push(self.spans.len());
        self.spans.push(Span {
            place,
            around: around.flatten(),
            references: 1,
            registry_parent,
            ..Span::default()
        });
    }

    /// Returns the registry's current span.
    fn current(&self) -> Option<usize> {
        let mut stack = self.registry.iter().rev();
        let (span, _) = *stack.find(|(_, is_again)| !is_again)?;
        (!self.spans[span].is_closed).then_some(span)
    }

    fn enter(&mut self, span: usize) {
        let is_again = self.registry.iter().any(|(it, _)| *it == span);
        self.registry.push((span, is_again));
        if let Some(entry) = self.entered.iter_mut().find(|entry| entry.span == span) {
            entry.depth += 1;
            return;
        }
        let current = self.stack.last().copied();
        let Some((trace, _)) = self.spans[span].place else {
            if let Some(strand) = current {
                let call = self.start(strand, None);
                self.push(span, Visit::new(strand, call), false);
            }
            return;
        };
        if let Some(strand) = current
            && self.strands[strand].trace == trace
        {
            self.visit(span, strand);
        } else if let Some((strand, way)) = self.way(span) {
            self.stack.push(strand);
            for outer in &way {
                self.visit(*outer, strand);
                self.seen -= 1;
                let entry = self.entered.last_mut().unwrap();
                (entry.depth, entry.held) = (0, 1);
                entry.is_owner = Some(outer) == way.first();
            }
            self.visit(span, strand);
            self.entered.last_mut().unwrap().with = way;
        } else {
            self.visit_apart(span);
        }
    }

    /// Goes on in a strand, or starts a call there.
    fn visit(&mut self, span: usize, strand: usize) {
        let waiting = &mut self.spans[span].waiting;
        let visit = match waiting.iter().position(|visit| visit.strand == strand) {
            Some(place) => {
                let visit = waiting.remove(place);
                self.resume(visit.call);
                visit
            }
            None => Visit::new(strand, self.start_of(span, strand)),
        };
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

    fn visit_apart(&mut self, span: usize) {
        let waiting = self.spans[span].waiting.iter();
        let own = waiting.map(|visit| visit.strand);
        let own =
            { own }.find(|strand| self.strands[*strand].is_of_span && self.is_owner(span, *strand));
        let strand = own.unwrap_or_else(|| {
            let (trace, parent) = self.spans[span].place.unwrap();
            self.new_strand(trace, parent, true)
        });
        self.stack.push(strand);
        self.visit(span, strand);
        self.entered.last_mut().unwrap().is_owner = true;
    }

    /// Returns whether this span began the strand: its call there is the first.
    fn is_owner(&self, span: usize, strand: usize) -> bool {
        let first = self.calls.iter().position(|call| call.strand == strand);
        let mut waiting = self.spans[span].waiting.iter();
        waiting.any(|visit| visit.strand == strand && Some(visit.call) == first)
    }

    /// Returns the strand in which a span can go on if the spans around it are entered with it, the
    /// outermost first, of which the first has the strand.
    fn way(&self, span: usize) -> Option<(usize, Vec<usize>)> {
        self.spans[span].waiting.iter().find_map(|visit| {
            let strand = visit.strand;
            if self.strands[strand].is_over || self.stack.contains(&strand) {
                return None;
            }
            let mut way = Vec::new();
            let mut next = span;
            while !self.is_owner(next, strand) {
                next = self.spans[next].around?;
                let waiting = &self.spans[next].waiting;
                waiting.iter().find(|visit| visit.strand == strand)?;
                way.insert(0, next);
            }
            (!way.is_empty()).then_some((strand, way))
        })
    }

    fn push(&mut self, span: usize, mut visit: Visit, is_known: bool) {
        self.seen += 1;
        visit.entries += 1;
        visit.entered = (self.calls[visit.call].in_strand, self.seen);
        self.entered.push(Entry {
            span,
            depth: 1,
            held: 0,
            with: Vec::new(),
            visit,
            is_known,
            is_owner: false,
        });
    }

    fn exit(&mut self, span: usize) {
        if let Some(place) = self.registry.iter().rposition(|(it, _)| *it == span) {
            self.registry.remove(place);
        }
        if let Some(place) = self.entered.iter().position(|entry| entry.span == span) {
            let entry = &mut self.entered[place];
            entry.depth = entry.depth.saturating_sub(1);
            if entry.depth == 0 && entry.held == 0 {
                self.leave(place, true);
            }
        }
    }

    /// `is_seen`: not with a span inside.
    fn leave(&mut self, place: usize, is_seen: bool) {
        let entry = self.entered.remove(place);
        let Entry {
            span,
            with,
            mut visit,
            is_known,
            is_owner,
            ..
        } = entry;
        let strand = visit.strand;
        let is_same = |entry: &Entry| entry.visit.strand == strand;
        let is_alone = self.entered[place..].iter().any(is_same);
        self.seen += u64::from(is_seen);
        if !self.stack.contains(&strand) {
            // It has stopped, and the thread does not know its figures.
            self.calls[visit.call].may_be_partial = true;
            self.stop(visit.call);
        } else if is_known {
            self.suspend(visit.call, is_alone);
            visit.left = (self.calls[visit.call].in_strand, self.seen);
            self.spans[span].waiting.push(visit);
        } else {
            self.stop(visit.call);
        }
        if is_owner {
            self.stack.retain(|entered| *entered != strand);
            for entry in self.entered.iter().filter(|entry| is_same(entry)) {
                self.calls[entry.visit.call].may_be_partial = true;
            }
        }
        for outer in with.into_iter().rev() {
            let place = self.entered.iter().position(|entry| entry.span == outer);
            if let Some(place) = place {
                let entry = &mut self.entered[place];
                entry.held -= 1;
                if entry.depth == 0 && entry.held == 0 {
                    self.leave(place, false);
                }
            }
        }
    }

    /// Drops a reference to a span.
    fn release(&mut self, span: usize) {
        self.spans[span].references -= 1;
        if self.spans[span].references > 0 {
            return;
        }
        if let Some(place) = self.entered.iter().position(|entry| entry.span == span) {
            for entry in &mut self.entered {
                entry.with.retain(|outer| *outer != span);
            }
            self.leave(place, true);
        }
        self.spans[span].is_closed = true;
        for visit in std::mem::take(&mut self.spans[span].waiting) {
            let call = &mut self.calls[visit.call];
            call.may_be_cancelled =
                visit.entries > 1 && visit.entered.0 == visit.left.0 && visit.left.1 == self.seen;
            let owner = self
                .calls
                .iter()
                .position(|call| call.strand == visit.strand);
            self.stop(visit.call);
            let strand = &mut self.strands[visit.strand];
            if strand.is_of_span && owner == Some(visit.call) {
                strand.is_over = true;
                for entry in &self.entered {
                    if entry.visit.strand == visit.strand {
                        self.calls[entry.visit.call].may_be_partial = true;
                    }
                }
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
        let Some(strand) = self.stack.last() else {
            return;
        };
        self.seen += 1;
        if let Some(call) = self.strands[*strand].running.last() {
            self.checkpoint(*call, has_error);
        }
        if let (Some(entry), true) = (self.entered.last(), has_error) {
            self.calls[entry.visit.call].expected.failed = Some(self.steps.to_string());
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

impl Visit {
    fn new(strand: usize, call: usize) -> Self {
        Self {
            strand,
            call,
            entries: 0,
            entered: (0, 0),
            left: (0, 0),
        }
    }
}
