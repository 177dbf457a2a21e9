//! The paths of a baseline: how the calls of one name's requests were reached, and their figures.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::primitives::pool::Number;
use crate::read::address_map::Index;
use crate::read::summary::{CallFigures, CallSummary};
use crate::recorder::quota::Quota;
use crate::recorder::window::{CallsInWindow, Memory};

/// The paths, by number. Each stands after the path that leads to it.
#[derive(Debug)]
pub(super) struct PathTable {
    nodes: Vec<Node>,
    numbers: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// The path of the previous request's first call.
    first: u32,
    /// The most paths that there may be.
    most: usize,
}

/// A callsite as it was reached on one path.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) callsite: Number,
    /// [`NOWHERE`] for an outermost call.
    parent: u32,
    /// The path of the call that came after this path's last one.
    next: u32,
    /// The first call on this path of the request that is being added.
    first_call: Index,
    pub(super) windows: [CallsInWindow; 2],
}

const NOWHERE: u32 = u32::MAX;
/// The path of a call without memory for one.
const LOST: u32 = u32::MAX - 1;

/// The bytes of a path without its bins: a node, and a number in a table of which at least half is used.
const NODE_BYTES: usize = size_of::<Node>() + 3 * size_of::<u32>();

impl PathTable {
    pub(super) fn new(most: usize) -> Self {
        Self {
            nodes: Vec::new(),
            numbers: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            first: NOWHERE,
            most,
        }
    }

    /// Returns for how many paths these bytes are enough, without their bins.
    pub(super) const fn most(bytes: usize) -> usize {
        bytes / NODE_BYTES
    }

    /// Adds the calls of a request to the present window. Returns how many of them had no memory for
    /// their path or for some of their figures.
    pub(super) fn add(&mut self, calls: &mut [CallSummary], quota: &mut Quota) -> u64 {
        if calls.is_empty() {
            return 0;
        }
        self.find_paths(calls, quota) + self.add_sums(calls, quota)
    }

    /// Notes the path of each call, and adds up those of one path in the first of them. The next path is guessed,
    /// mostly right, since requests of one name are much alike. Returns how many calls had no memory for their path.
    #[inline(never)]
    fn find_paths(&mut self, calls: &mut [CallSummary], quota: &mut Quota) -> u64 {
        let mut lost = 0;
        let mut guess = self.first;
        let mut before = NOWHERE;
        for index in 0..calls.len() {
            let CallSummary {
                parent, callsite, ..
            } = calls[index];
            // An outermost call has none.
            let parent = parent.of(calls).map_or(NOWHERE, |parent| parent.path);
            // Nearly each call is on the path that is guessed, and the first of its request there.
            if let Some(node) = self.nodes.get_mut(guess as usize)
                && node.is(parent, callsite)
                && node.first_call == Index::NONE
            {
                node.first_call = Index::new(index);
                calls[index].path = guess;
                (before, guess) = (guess, node.next);
                continue;
            }
            match self.find_path(calls, index, parent, (before, guess), quota) {
                Some(path) => (before, guess) = (path, self.nodes[path as usize].next),
                None => lost += calls[index].count(),
            }
        }
        lost
    }

    /// Notes the path of a call, whether or not it is the one that was guessed because it came after `before`, and adds
    /// the call to the first one there. `None` if there is no memory for the path.
    #[cold]
    #[inline(never)]
    fn find_path(
        &mut self,
        calls: &mut [CallSummary],
        index: usize,
        parent: u32,
        (before, guess): (u32, u32),
        quota: &mut Quota,
    ) -> Option<u32> {
        calls[index].path = LOST;
        let path = self.find(parent, calls[index].callsite, guess, quota)?;
        if path != guess {
            match self.nodes.get_mut(before as usize) {
                Some(node) => node.next = path,
                None => self.first = path,
            }
        }
        calls[index].path = path;
        let node = &mut self.nodes[path as usize];
        match node.first_call.get() {
            None => node.first_call = Index::new(index),
            Some(first) => {
                let sums = calls[index].sums();
                calls[first].change(|first| first.add(&sums));
            }
        }
        Some(path)
    }

    /// Adds the sums of each path to its figures. Returns for how many calls some of these had no memory.
    #[inline(never)]
    fn add_sums(&mut self, calls: &[CallSummary], quota: &mut Quota) -> u64 {
        let mut lost = 0;
        let mut memory = Memory::of(quota);
        for (index, call) in calls.iter().enumerate() {
            let Some(node) = self.nodes.get_mut(call.path as usize) else {
                continue;
            };
            if node.first_call != Index::new(index) {
                continue;
            }
            node.first_call = Index::NONE;
            let window = &mut node.windows[0];
            match &call.figures {
                // Most figures go from the record to the path's in registers.
                CallFigures::Recorded(call) => window.add_call(*call, &mut memory),
                CallFigures::Sums(sums) => window.add_request(sums, &mut memory),
            }
            if memory.take_has_run_out() {
                lost += call.count();
            }
        }
        lost
    }

    /// Returns the number of a path, which is added if it is new. `None` if there is no memory.
    fn find(
        &mut self,
        parent: u32,
        callsite: Number,
        guess: u32,
        quota: &mut Quota,
    ) -> Option<u32> {
        if parent == LOST {
            return None;
        }
        let is_it = |node: &Node| node.is(parent, callsite);
        if self.nodes.get(guess as usize).is_some_and(is_it) {
            return Some(guess);
        }
        let Self {
            nodes,
            numbers,
            hasher,
            ..
        } = self;
        let hash = hash(hasher, parent, callsite);
        if let Some(number) = numbers.find(hash, |number| is_it(&nodes[*number as usize])) {
            return Some(*number);
        }
        if nodes.len() == nodes.capacity() {
            // By an eighth: doubling would take more memory than there may be.
            let more = (nodes.len() / 8).max(8);
            let more = more.min(self.most.checked_sub(nodes.len())?);
            if more == 0 {
                return None;
            }
            let taken = quota.take(more * NODE_BYTES)?;
            nodes.try_reserve_exact(more).ok()?;
            taken.keep();
        }
        let number = u32::try_from(nodes.len()).ok()?;
        let hash_of = |number: &u32| nodes[*number as usize].hash(hasher);
        numbers.try_reserve(1, hash_of).ok()?;
        nodes.push(Node {
            callsite,
            parent,
            next: NOWHERE,
            first_call: Index::NONE,
            windows: Default::default(),
        });
        let hash_of = |number: &u32| nodes[*number as usize].hash(hasher);
        numbers.insert_unique(hash, number, hash_of);
        Some(number)
    }

    /// Begins a new window. The last one is kept if the new one directly follows it.
    pub(super) fn turn(&mut self, is_next: bool) {
        for node in &mut self.nodes {
            node.windows.swap(0, 1);
            node.windows[0] = CallsInWindow::default();
            if !is_next {
                node.windows[1] = CallsInWindow::default();
            }
        }
        self.forget_unused();
    }

    /// Drops the paths on which there was no call in two windows.
    fn forget_unused(&mut self) {
        // The path that leads here stands before it, and has at least as many calls.
        let is_used = |node: &Node| node.windows[1].sums.calls > 0;
        if self.nodes.iter().all(is_used) {
            return;
        }
        let used = self.nodes.iter().filter(|node| is_used(node)).count();
        let (mut kept, mut places) = (Vec::new(), Vec::new());
        let has_room = kept.try_reserve_exact(used).is_ok()
            && places.try_reserve_exact(self.nodes.len()).is_ok();
        if !has_room {
            // Tried again in the next window.
            return;
        }
        let nodes = std::mem::replace(&mut self.nodes, kept);
        // Its memory is enough, as there are fewer paths now.
        self.numbers.clear();
        self.first = NOWHERE;
        for mut node in nodes {
            let parent = match node.parent {
                NOWHERE => Some(NOWHERE),
                parent => places[parent as usize],
            };
            let Some(parent) = parent.filter(|_| is_used(&node)) else {
                places.push(None);
                continue;
            };
            let number = self.nodes.len();
            node.parent = parent;
            node.next = NOWHERE;
            self.nodes.push(node);
            let number = u32::try_from(number).unwrap_or(NOWHERE);
            places.push(Some(number));
            let (nodes, hasher) = (&self.nodes, &self.hasher);
            let hash_of = |number: &u32| nodes[*number as usize].hash(hasher);
            self.numbers
                .insert_unique(hash_of(&number), number, hash_of);
        }
    }

    pub(super) fn bytes(&self) -> usize {
        let windows = self.nodes.iter().flat_map(|node| &node.windows);
        let bins: usize = windows.map(CallsInWindow::bytes).sum();
        self.nodes.capacity() * NODE_BYTES + bins
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter()
    }
}

fn hash(hasher: &DefaultHashBuilder, parent: u32, callsite: Number) -> u64 {
    hasher.hash_one((parent, callsite.to_bits()))
}

impl Node {
    #[inline]
    fn is(&self, parent: u32, callsite: Number) -> bool {
        self.parent == parent && self.callsite == callsite
    }

    fn hash(&self, hasher: &DefaultHashBuilder) -> u64 {
        hash(hasher, self.parent, self.callsite)
    }

    /// Returns the number of the path that leads here; `None` for an outermost call.
    pub(super) fn parent(&self) -> Option<usize> {
        (self.parent != NOWHERE).then_some(self.parent as usize)
    }
}
