//! The paths of a baseline: how the calls of one name's requests were reached, and what they did.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::primitives::pool::Number;
use crate::read::summary::{CallSummary, Summary};
use crate::recorder::quota::Quota;
use crate::recorder::window::{CallsInWindow, Sums};

/// Paths, by number: each stands after the one that leads to it.
#[derive(Debug)]
pub(super) struct PathTable {
    nodes: Vec<Node>,
    numbers: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// The path of the first call, last time.
    first: u32,
    /// How many paths there may be.
    most: usize,
}

/// A callsite as it was reached on one path.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) callsite: Number,
    /// [`NOWHERE`] for an outermost call.
    parent: u32,
    /// The path of the call that came after one of this path, last time.
    next: u32,
    /// What the request that is being added did, in ticks; `None` until it has a call on this path.
    now: Option<Sums>,
    pub(super) windows: [CallsInWindow; 2],
}

const NOWHERE: u32 = u32::MAX;

/// What a path takes, its bins aside: a node, and a number in a table of which at least half is used.
const NODE_BYTES: usize = size_of::<Node>() + 3 * size_of::<u32>();

/// What is needed to add a request, and nothing after that; kept for its memory.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// The path of each call of the request.
    paths: Vec<u32>,
    /// The paths on which there were any.
    touched: Vec<u32>,
}

/// After a request with more calls, the scratch's memory is given back.
const MOST_KEPT: usize = 1024;

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

    /// Returns how many paths these bytes are enough for, their bins aside.
    pub(super) const fn most(bytes: usize) -> usize {
        bytes / NODE_BYTES
    }

    /// Adds the calls of a request to the present window. Returns how many of them found no memory, for
    /// their path or for some of their figures.
    pub(super) fn add(
        &mut self,
        summary: &Summary,
        Scratch { paths, touched }: &mut Scratch,
        quota: &mut Quota,
    ) -> u64 {
        paths.clear();
        // A path that is touched is one of these.
        let all = summary.calls().len();
        if paths.try_reserve(all).is_err() || touched.try_reserve(all).is_err() {
            return summary.calls().iter().map(|call| call.calls).sum();
        }
        let mut lost = 0;
        let mut guess = self.first;
        let mut before = NOWHERE;
        for call in summary.calls() {
            let parent = match call.parent {
                None => Some(NOWHERE),
                Some(parent) => { paths.get(parent) }.copied().filter(|it| *it != NOWHERE),
            };
            let path = parent.and_then(|parent| self.find(parent, call.callsite, guess, quota));
            let Some(path) = path else {
                lost += call.calls;
                paths.push(NOWHERE);
                continue;
            };
            if path != guess {
                match self.nodes.get_mut(before as usize) {
                    Some(node) => node.next = path,
                    None => self.first = path,
                }
            }
            paths.push(path);
            let node = &mut self.nodes[path as usize];
            if node.now.is_none() {
                touched.push(path);
            }
            node.now.get_or_insert_default().add(&sums(call));
            (before, guess) = (path, node.next);
        }
        for path in touched.drain(..) {
            let node = &mut self.nodes[path as usize];
            if let Some(now) = node.now.take()
                && !node.windows[0].add(&now, quota)
            {
                lost += now.calls;
            }
        }
        if paths.capacity() > MOST_KEPT {
            *paths = Vec::new();
            *touched = Vec::new();
        }
        lost
    }

    /// Returns the path's number. The guess is mostly right: requests of one name are much alike.
    fn find(
        &mut self,
        parent: u32,
        callsite: Number,
        guess: u32,
        quota: &mut Quota,
    ) -> Option<u32> {
        let is_it = |node: &Node| node.parent == parent && node.callsite == callsite;
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
            // Little by little, as doubling would take what there is no memory for.
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
            now: None,
            windows: Default::default(),
        });
        let hash_of = |number: &u32| nodes[*number as usize].hash(hasher);
        numbers.insert_unique(hash, number, hash_of);
        Some(number)
    }

    /// Begins another window. The one before is kept if the new one is next to it.
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
        // A path stands after the one that leads to it, which has as many calls.
        let is_used = |node: &Node| node.windows[1].sums.calls > 0;
        if self.nodes.iter().all(is_used) {
            return;
        }
        let used = self.nodes.iter().filter(|node| is_used(node)).count();
        let (mut kept, mut places) = (Vec::new(), Vec::new());
        let has_room = kept.try_reserve_exact(used).is_ok()
            && places.try_reserve_exact(self.nodes.len()).is_ok();
        if !has_room {
            // In the next window, then.
            return;
        }
        let nodes = std::mem::replace(&mut self.nodes, kept);
        // Its memory is enough for fewer.
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
    fn hash(&self, hasher: &DefaultHashBuilder) -> u64 {
        hash(hasher, self.parent, self.callsite)
    }

    /// The number of the path that leads here; `None` for an outermost call.
    pub(super) fn parent(&self) -> Option<usize> {
        (self.parent != NOWHERE).then_some(self.parent as usize)
    }
}

fn sums(call: &CallSummary) -> Sums {
    Sums {
        calls: call.calls,
        failures: call.failures,
        cancelled: call.cancelled,
        wall: call.wall,
        busy: call.busy,
        total: call.total,
        peak_bytes: call.peak_bytes,
    }
}
