//! The expected figures of a program of the public API, computed as simply as possible: every step
//! changes plain vectors, and every allocation is added at once to all calls that it belongs to.

/// The index of a call in [`Model::calls`], which is also the call's id in the trace.
pub type CallId = usize;
pub type StrandId = usize;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Running,
    /// Suspended with the future that it is around, or that it was opened in.
    Resting,
    Stopped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Ok,
    Failed,
    Panicked,
    Cancelled,
}

#[derive(Debug)]
pub struct Call {
    pub site: usize,
    pub strand: StrandId,
    /// The call in which it was opened, or from which its strand was spawned.
    pub parent: Option<CallId>,
    /// The call of the same strand that is around it now.
    around: Option<CallId>,
    pub state: State,
    pub own: u64,
    /// The lowest and the highest possible total: strands spawned from a call that has left another may
    /// count in that one or not.
    pub total: (u64, u64),
    pub failed: bool,
    was_cancelling: bool,
    /// `None` if more than one is right.
    pub end: Option<End>,
    /// Calls that were around it, and are no longer.
    left: Vec<CallId>,
    /// Whether figures may be marked as not exact.
    pub may_be_partial: bool,
    pub is_own_known: bool,
    pub is_total_known: bool,
}

#[derive(Debug)]
pub struct Strand {
    pub trace: usize,
    parent: Option<CallId>,
    /// The calls around its parent when its handle was fetched, each with the call of the same strand
    /// from which this one was spawned.
    spawned_in: Vec<(CallId, CallId)>,
    inner: Option<CallId>,
    cancelling: bool,
    /// The figures and parents of its calls are not modelled any more.
    pub is_vague: bool,
}

/// A handle of a trace, with the call that was open when it was fetched.
#[derive(Clone, Debug)]
pub struct Handle {
    pub trace: usize,
    parent: Option<CallId>,
    spawned_in: Vec<(CallId, CallId)>,
}

impl Handle {
    pub fn of(trace: usize) -> Self {
        Self {
            trace,
            parent: None,
            spawned_in: Vec::new(),
        }
    }
}

#[derive(Debug, Default)]
pub struct Model {
    pub calls: Vec<Call>,
    pub strands: Vec<Strand>,
    /// The strands that each thread has entered, the current one last.
    entered: [Vec<StrandId>; 2],
    /// The total of each trace, and the part of it outside of calls.
    pub totals: [u64; 2],
    pub outside: [u64; 2],
    /// Whether calls may be folded.
    pub has_limits: bool,
    /// Whether a call may be open beside others of its strand.
    pub has_futures: bool,
}

impl Model {
    pub fn new(has_limits: bool) -> Self {
        Self {
            has_limits,
            ..Self::default()
        }
    }

    pub fn current(&self, thread: usize) -> Option<StrandId> {
        self.entered[thread].last().copied()
    }

    fn is_current(&self, thread: usize, call: CallId) -> bool {
        self.current(thread) == Some(self.calls[call].strand)
    }

    /// Returns the call and the calls of its strand around it, outwards.
    fn outwards(&self, call: Option<CallId>) -> impl Iterator<Item = CallId> + '_ {
        std::iter::successors(call, |call| self.calls[*call].around)
    }

    fn is_within(&self, inner: Option<CallId>, call: CallId) -> bool {
        self.outwards(inner).any(|outer| outer == call)
    }

    /// Returns the parent of a strand that is spawned from this one now, and the calls around it.
    fn spawn_point(&self, strand: StrandId) -> (Option<CallId>, Vec<(CallId, CallId)>) {
        let Strand {
            inner,
            parent,
            spawned_in,
            ..
        } = &self.strands[strand];
        let Some(inner) = *inner else {
            return (*parent, spawned_in.clone());
        };
        let around = self.outwards(Some(inner)).map(|outer| (outer, inner));
        (
            Some(inner),
            around.chain(spawned_in.iter().copied()).collect(),
        )
    }

    pub fn fetch(&self, thread: usize) -> Option<Handle> {
        let strand = self.current(thread)?;
        let (parent, spawned_in) = self.spawn_point(strand);
        Some(Handle {
            trace: self.strands[strand].trace,
            parent,
            spawned_in,
        })
    }

    pub fn new_strand(&mut self, thread: usize, handle: &Handle) -> StrandId {
        let mut entered = self.entered[thread].iter().rev();
        let same = entered.find(|strand| self.strands[**strand].trace == handle.trace);
        let (parent, spawned_in) = match (handle.parent, same) {
            (None, Some(strand)) => self.spawn_point(*strand),
            _ => (handle.parent, handle.spawned_in.clone()),
        };
        let is_vague = parent.is_some_and(|parent| self.is_vague(parent));
        self.strands.push(Strand {
            trace: handle.trace,
            parent,
            spawned_in,
            inner: None,
            cancelling: false,
            is_vague,
        });
        self.strands.len() - 1
    }

    pub fn enter(&mut self, thread: usize, strand: StrandId) {
        self.entered[thread].push(strand);
    }

    pub fn leave(&mut self, thread: usize, strand: StrandId) {
        let entered = &mut self.entered[thread];
        let place = entered.iter().rposition(|it| *it == strand);
        entered.remove(place.expect("a strand that was entered"));
    }

    pub fn is_vague(&self, call: CallId) -> bool {
        self.strands[self.calls[call].strand].is_vague
    }

    /// Gives up modelling the strand's figures.
    pub fn make_vague(&mut self, strand: StrandId) {
        self.strands[strand].is_vague = true;
        for (call, _) in self.strands[strand].spawned_in.clone() {
            self.calls[call].is_own_known = false;
            self.calls[call].is_total_known = false;
            self.calls[call].may_be_partial = true;
        }
        // The strands that were spawned from it become vague, too.
        for other in 0..self.strands.len() {
            let parent = self.strands[other].parent;
            if !self.strands[other].is_vague
                && parent.is_some_and(|parent| self.calls[parent].strand == strand)
            {
                self.make_vague(other);
            }
        }
    }

    pub fn open(&mut self, thread: usize, site: usize) -> Option<CallId> {
        let strand = self.current(thread)?;
        let Strand {
            inner,
            parent,
            cancelling,
            ..
        } = self.strands[strand];
        let id = self.calls.len();
        self.calls.push(Call {
            site,
            strand,
            parent: inner.or(parent),
            around: inner,
            state: State::Running,
            own: 0,
            total: (0, 0),
            failed: false,
            was_cancelling: cancelling,
            end: None,
            left: Vec::new(),
            may_be_partial: false,
            is_own_known: true,
            is_total_known: true,
        });
        self.strands[strand].inner = Some(id);
        Some(id)
    }

    pub fn allocate(&mut self, thread: usize, count: u64) {
        let mut seen = [false; 2];
        for place in (0..self.entered[thread].len()).rev() {
            let strand = self.entered[thread][place];
            // Strands of the same trace that were entered before are paused.
            if !std::mem::replace(&mut seen[self.strands[strand].trace], true) {
                self.count(strand, count);
            }
        }
    }

    fn count(&mut self, strand: StrandId, count: u64) {
        let Strand {
            trace,
            parent,
            inner,
            ..
        } = self.strands[strand];
        self.totals[trace] += count;
        match inner.or(parent) {
            Some(call) => self.calls[call].own += count,
            None => self.outside[trace] += count,
        }
        if let (None, Some(parent), true) = (inner, parent, self.has_limits) {
            // If the parent is folded, the count is in its sum or in that of the call around.
            for (call, _) in self.strands[strand].spawned_in.clone() {
                self.calls[call].is_own_known = false;
            }
            self.calls[parent].is_own_known = false;
        }
        let within: Vec<_> = self.outwards(inner).collect();
        for call in within {
            self.add(call, count, true);
        }
        let spawned_in = self.strands[strand].spawned_in.clone();
        for (call, via) in &spawned_in {
            let is_certain = !self.calls[*via].left.contains(call);
            self.add(*call, count, is_certain);
        }
        // Calls into which these have moved since.
        let mut gone_into: Vec<CallId> = Vec::new();
        for (_, via) in &spawned_in {
            let now = self.outwards(Some(*via));
            let new = now.filter(|call| spawned_in.iter().all(|(known, _)| known != call));
            gone_into.extend(new.collect::<Vec<_>>());
        }
        gone_into.sort_unstable();
        gone_into.dedup();
        for call in gone_into {
            self.add(call, count, false);
            let around = self.calls[call].strand;
            for (outer, _) in self.strands[around].spawned_in.clone() {
                self.add(outer, count, false);
            }
        }
    }

    fn add(&mut self, call: CallId, count: u64, is_certain: bool) {
        let call = &mut self.calls[call];
        call.total.0 += if is_certain { count } else { 0 };
        call.total.1 += count;
    }

    pub fn fail(&mut self, thread: usize, call: CallId) {
        self.calls[call].failed = true;
        if !self.is_current(thread, call) {
            self.calls[call].may_be_partial = true;
        }
    }

    pub fn checkpoint(&mut self, thread: usize, call: CallId) {
        if !self.is_current(thread, call) || self.calls[call].state == State::Resting {
            self.calls[call].may_be_partial = true;
        }
    }

    /// The calls running within this one continue within the one around.
    fn leave_to_outer(&mut self, call: CallId) {
        let Call { strand, around, .. } = self.calls[call];
        let inner = self.strands[strand].inner;
        if !self.is_within(inner, call) {
            return;
        }
        let path: Vec<_> = self.outwards(inner).take_while(|it| *it != call).collect();
        for moved in path {
            if self.calls[moved].around == Some(call) {
                self.calls[moved].around = around;
            }
            self.calls[moved].left.push(call);
            self.calls[moved].may_be_partial = true;
            self.calls[call].may_be_partial = true;
        }
        if inner == Some(call) {
            self.strands[strand].inner = around;
        }
    }

    fn end(&self, call: CallId, panics: bool, cancels: bool) -> Option<End> {
        let it = &self.calls[call];
        let cancelling = cancels || (self.strands[it.strand].cancelling && !it.was_cancelling);
        Some(match (panics, it.failed, cancelling) {
            (true, ..) => End::Panicked,
            (_, true, _) => End::Failed,
            (.., true) => End::Cancelled,
            _ => End::Ok,
        })
    }

    pub fn stop(&mut self, thread: usize, call: CallId, panics: bool) {
        if self.calls[call].state == State::Stopped {
            return;
        }
        let is_here = self.is_current(thread, call);
        let is_resting = self.calls[call].state == State::Resting;
        if is_resting {
            // Calls suspended within it continue within the nearest open call.
            let mut outer = self.calls[call].around;
            while let Some(next) = outer.filter(|it| self.calls[*it].state == State::Stopped) {
                outer = self.calls[next].around;
            }
            for inner in 0..self.calls.len() {
                if self.calls[inner].around == Some(call) {
                    self.calls[inner].around = outer;
                    self.calls[inner].left.push(call);
                    self.calls[inner].may_be_partial = true;
                    self.calls[call].may_be_partial = true;
                }
            }
        }
        if !is_here {
            self.stopped_from_afar(call);
        }
        let end = self.end(call, panics, false);
        self.calls[call].end = if is_here || end == Some(End::Failed) {
            end
        } else {
            None
        };
        if !is_resting {
            self.leave_to_outer(call);
        }
        self.calls[call].state = State::Stopped;
    }

    /// Notes that the call's usage since its strand's figures were last read is not known.
    fn stopped_from_afar(&mut self, call: CallId) {
        let Call { around, parent, .. } = self.calls[call];
        self.calls[call].may_be_partial = true;
        self.calls[call].is_own_known = false;
        self.calls[call].is_total_known = false;
        let outwards: Vec<_> = self.outwards(around).collect();
        let depth = if self.has_limits { usize::MAX } else { 1 };
        for outer in outwards.into_iter().chain(parent).take(depth) {
            self.calls[outer].is_own_known = false;
            self.calls[outer].may_be_partial |= self.has_limits;
        }
        let strand = self.calls[call].strand;
        for (outer, _) in self.strands[strand].spawned_in.clone() {
            self.calls[outer].is_own_known = false;
        }
        for inner in 0..self.calls.len() {
            if self.is_within(Some(inner), call) {
                self.calls[inner].may_be_partial = true;
                self.calls[inner].is_own_known &= !self.has_limits;
            }
        }
    }

    /// Puts a future around a call, before its first poll. Returns the innermost call that is suspended
    /// with it.
    pub fn rest_alone(&mut self, thread: usize, call: CallId) -> Option<CallId> {
        let strand = self.calls[call].strand;
        self.has_futures = true;
        if !self.is_current(thread, call) {
            self.make_vague(strand);
            return None;
        }
        match self.calls[call].state {
            State::Running => self.leave_to_outer(call),
            State::Resting => self.move_to(call, self.strands[strand].inner),
            State::Stopped => return None,
        }
        self.calls[call].state = State::Resting;
        Some(call)
    }

    fn move_to(&mut self, call: CallId, outer: Option<CallId>) {
        let old: Vec<_> = self.outwards(self.calls[call].around).collect();
        if self.calls[call].around == outer {
            return;
        }
        self.calls[call].around = outer;
        let new: Vec<_> = self.outwards(outer).collect();
        let left: Vec<_> = old.into_iter().filter(|it| !new.contains(it)).collect();
        for inner in 0..self.calls.len() {
            if self.is_within(Some(inner), call) {
                self.calls[inner].left.extend(&left);
                self.calls[inner].may_be_partial = true;
            }
        }
        for outer in left.into_iter().chain(new) {
            self.calls[outer].may_be_partial = true;
            // The work of a recorded call within a folded one counts twice in the call around.
            self.calls[outer].is_own_known &= !self.has_limits;
        }
        self.calls[call].is_own_known &= !self.has_limits;
    }

    /// Begins a poll of the future around the call.
    pub fn resume(&mut self, thread: usize, call: CallId, innermost: Option<CallId>) {
        let strand = self.calls[call].strand;
        if !self.is_current(thread, call) {
            return self.make_vague(strand);
        }
        let Some(innermost) = innermost else {
            return;
        };
        self.move_to(call, self.strands[strand].inner);
        if !self.is_within(Some(innermost), call) {
            return self.make_vague(strand);
        }
        let path: Vec<_> = self.outwards(Some(innermost)).collect();
        let path = path.iter().take_while(|it| **it != call).chain([&call]);
        let mut inner = None;
        for it in path {
            if self.calls[*it].state != State::Stopped {
                self.calls[*it].state = State::Running;
                inner = inner.or(Some(*it));
            }
        }
        self.strands[strand].inner = inner.or(self.calls[call].around);
    }

    /// Ends a poll whose future is pending.
    pub fn rest(&mut self, thread: usize, call: CallId) -> Option<CallId> {
        let strand = self.calls[call].strand;
        let inner = self.strands[strand].inner;
        if !self.is_current(thread, call) || !self.is_within(inner, call) {
            self.make_vague(strand);
            return None;
        }
        let path: Vec<_> = self.outwards(inner).collect();
        for it in path.iter().take_while(|it| **it != call).chain([&call]) {
            self.calls[*it].state = State::Resting;
        }
        self.strands[strand].inner = self.calls[call].around;
        inner
    }

    /// Sets whether a future of the strand is being dropped, and returns the previous value.
    pub fn cancelling(&mut self, strand: StrandId, is_on: bool) -> bool {
        std::mem::replace(&mut self.strands[strand].cancelling, is_on)
    }

    /// Stops a call whose future has been dropped.
    pub fn cancel(&mut self, thread: usize, call: CallId) {
        let is_here = self.is_current(thread, call);
        self.stop(thread, call, false);
        if !is_here && !self.calls[call].failed {
            self.calls[call].end = Some(End::Cancelled);
        }
    }

    pub fn is_here(&self, thread: usize, call: CallId) -> bool {
        self.is_current(thread, call)
    }

    /// Returns the callsites on the path to a call, the outermost first.
    pub fn path(&self, call: CallId) -> Vec<usize> {
        let calls = std::iter::successors(Some(call), |call| self.calls[*call].parent);
        let mut path: Vec<_> = calls.map(|call| self.calls[call].site).collect();
        path.reverse();
        path
    }

    pub fn trace_of(&self, call: CallId) -> usize {
        self.strands[self.calls[call].strand].trace
    }
}
