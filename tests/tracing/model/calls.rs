//! The calls of a program, and the strands in which they run.

use super::{Expected, Model};

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
    pub(super) strand: usize,
    /// The call around it now, in its strand.
    pub(super) within: Option<usize>,
    /// The calls that were suspended with it, as far as they are open, and whether there were any.
    pub(super) inside: Vec<usize>,
    pub(super) had_inside: bool,
    pub(super) is_stopped: bool,
    /// The span with which it was suspended is closed.
    pub(super) is_orphan: bool,
}

#[derive(Debug)]
pub(super) struct Strand {
    pub(super) trace: usize,
    pub(super) parent: Option<usize>,
    /// The calls around the strand when it began.
    pub(super) around: Vec<usize>,
    pub(super) running: Vec<usize>,
    pub(super) allocates: u64,
    pub(super) is_over: bool,
}

impl Model {
    /// Returns the innermost call of a strand, or what the strand is below.
    pub(super) fn open_in(&self, strand: usize) -> Option<usize> {
        let strand = &self.strands[strand];
        strand.running.last().copied().or(strand.parent)
    }

    pub(super) fn new_strand(&mut self, trace: usize, parent: Option<usize>) -> usize {
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
    pub(super) fn around(&self, call: usize) -> Vec<usize> {
        let Call { within, strand, .. } = self.calls[call];
        let outer = within.or(self.strands[strand].parent);
        let outer = outer.map_or_else(Vec::new, |outer| self.around(outer));
        [outer, vec![call]].concat()
    }

    pub(super) fn start(&mut self, strand: usize, id: Option<String>) -> usize {
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
    pub(super) fn take_out(&mut self, call: usize) -> bool {
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

    pub(super) fn suspend(&mut self, call: usize, is_alone: bool) {
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

    pub(super) fn resume(&mut self, call: usize) {
        let running = &mut self.strands[self.calls[call].strand].running;
        self.calls[call].within = running.last().copied();
        running.push(call);
        running.append(&mut self.calls[call].inside);
    }

    pub(super) fn stop(&mut self, call: usize) {
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

    pub(super) fn open_from(&self, call: Option<usize>) -> Option<usize> {
        let mut next = call;
        while let Some(call) = next
            && self.calls[call].is_stopped
        {
            next = self.calls[call].within;
        }
        next
    }

    /// Whether this thread runs the strand of a guard, or it has ended: elsewhere, guards are not exact.
    pub(super) fn may_stop(&self, guard: usize) -> bool {
        self.here.guards[guard].is_none_or(|call| {
            let strand = self.calls[call].strand;
            self.here.stack.last() == Some(&strand)
        })
    }

    pub(super) fn check_strand(&mut self, call: usize) {
        if self.here.stack.last() != Some(&self.calls[call].strand) {
            self.calls[call].may_be_partial = true;
        }
    }
}
