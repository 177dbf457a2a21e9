//! A naive model of spans on two threads, or on a thread and in tasks, which take turns: which calls a program of spans
//! makes, and what each of them has allocated.
//!
//! An allocation is in the innermost running call of the strand that counts, in each trace, and in the
//! calls around it. Nothing here knows how the layer does it.

mod calls;
mod events;
mod spans;
mod tasks;

use tracer::alloc::Counts;

use calls::Strand;
use spans::{Entry, Span};
use tasks::{Left, Tasks};

pub(crate) use calls::Call;

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
}
