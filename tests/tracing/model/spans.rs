//! The spans of a program: where each is entered, left and closed.

use super::tasks::Elsewhere;
use super::{Model, Parent};

/// A strand in which a span was entered, and the call that stands for the span there: none in a strand below
/// the span's own call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Visit {
    pub(super) strand: usize,
    pub(super) is_own: bool,
    pub(super) call: Option<usize>,
    /// The thread that left it last, and what that had seen then.
    pub(super) left: (bool, u64),
}

#[derive(Debug, Default)]
pub(super) struct Span {
    /// The trace, and the call below which the span's strands are.
    pub(super) place: Option<(usize, Option<usize>)>,
    pub(super) around: Option<usize>,
    pub(super) label: Option<String>,
    pub(super) failed: Option<String>,
    pub(super) last_call: Option<usize>,
    pub(super) waiting: Vec<Visit>,
    pub(super) entries: u32,
    /// What had been allocated in the strand when the span was last entered and left, and what the thread had
    /// seen then.
    pub(super) allocated: (u64, u64),
    pub(super) left: u64,
    /// The strand in which it was left last.
    pub(super) left_in: Option<usize>,
    /// The future of a span inside may have been dropped since.
    pub(super) may_have_dropped: bool,
    /// It was made with `parent: None`, or inside such a span.
    pub(super) is_root: bool,
    /// Handles and children of the registry's.
    pub(super) references: usize,
    pub(super) registry_parent: Option<usize>,
    pub(super) is_closed: bool,
}

/// A span that the thread has entered.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) span: usize,
    pub(super) depth: u32,
    pub(super) visit: Visit,
    pub(super) is_known: bool,
    /// What had been allocated in the strand before.
    pub(super) allocated: u64,
}

impl Model {
    pub(super) fn new_span(&mut self, parent: Parent) {
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
    pub(super) fn current(&self) -> Option<usize> {
        let mut stack = self.here.registry.iter().rev();
        let (span, _) = *stack.find(|(_, is_again)| !is_again)?;
        (!self.spans[span].is_closed).then_some(span)
    }

    pub(super) fn enter(&mut self, span: usize) {
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
    pub(super) fn is_visited(&self, span: usize, strand: usize, trace: usize) -> bool {
        let span = &self.spans[span];
        let is_here = |visit: &Visit| visit.strand == strand && !visit.is_own;
        let may_begin = span.last_call.is_none() || span.is_root;
        self.strands[strand].trace == trace && (may_begin || span.waiting.iter().any(is_here))
    }

    /// Starts a call for a span that is not of the trace.
    pub(super) fn visit_unknown(&mut self, span: usize, strand: usize) {
        let visit = Visit {
            strand,
            call: Some(self.start(strand, None)),
            is_own: false,
            left: (false, 0),
        };
        self.push(span, visit, false);
    }

    /// Goes on in a strand, or starts a call there.
    pub(super) fn visit(&mut self, span: usize, strand: usize) {
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
    pub(super) fn visit_apart(&mut self, span: usize) {
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

    pub(super) fn go_on(&mut self, span: usize, visit: Visit) {
        if let Some(call) = visit.call
            && !self.strands[visit.strand].running.contains(&call)
        {
            self.resume(call);
        }
        self.push(span, visit, true);
    }

    pub(super) fn start_of(&mut self, span: usize, strand: usize) -> usize {
        let call = self.start(strand, Some(format!("s{span}")));
        let span = &mut self.spans[span];
        span.last_call = Some(call);
        self.calls[call].expected.label.clone_from(&span.label);
        self.calls[call].expected.failed = span.failed.take();
        call
    }

    pub(super) fn push(&mut self, span: usize, visit: Visit, is_known: bool) {
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

    pub(super) fn exit(&mut self, span: usize) {
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

    pub(super) fn leave(&mut self, place: usize) {
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
    pub(super) fn mark_entered(&mut self, strand: usize) {
        for entry in &self.here.entered {
            if let (Some(call), true) = (entry.visit.call, entry.visit.strand == strand) {
                self.calls[call].may_be_partial = true;
            }
        }
    }

    /// Drops a reference to a span.
    pub(super) fn release(&mut self, span: usize) {
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

    pub(super) fn record(&mut self, span: usize) {
        let label = self.steps.to_string();
        let span = &mut self.spans[span];
        if span.place.is_some() {
            if let Some(call) = span.last_call {
                self.calls[call].expected.label = Some(label.clone());
            }
            span.label = Some(label);
        }
    }
}
