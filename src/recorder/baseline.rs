//! What the requests of one name usually do, by path: over all of them, in the last minutes.
//!
//! Figures are kept for two windows of time, the present one and the one before; so what is usual is
//! known for at least one window, and what is older than two is forgotten.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::primitives::pool::Number;
use crate::read::summary::Summary;
use crate::report::Outcome;
use crate::store::callsite::Callsite;

use super::quota::Quota;
use super::window::{CallsInWindow, RequestsInWindow, Sums};

/// What requests of one name did.
#[derive(Debug, Default)]
pub(super) struct Baseline {
    /// The number of the present window.
    window: u64,
    /// The present one, and the one before.
    requests: [RequestsInWindow; 2],
    nodes: Vec<Node>,
    numbers: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// The path of the first call, last time.
    first: u32,
    /// How many paths there may be.
    most_paths: usize,
    /// What the figures of whole requests may take, whatever the paths take.
    reserve: Quota,
    lost: Lost,
}

/// Calls whose path, or whose figures, found no room: ever, and in both windows.
#[derive(Debug, Default)]
struct Lost {
    ever: u64,
    recently: [u64; 2],
}

impl Lost {
    fn add(&mut self, calls: u64) {
        self.ever += calls;
        self.recently[0] += calls;
    }
}

/// What is needed to add a request, and nothing after that; kept for its memory.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// The path of each call of the request.
    paths: Vec<u32>,
    /// The paths on which there were any.
    touched: Vec<u32>,
}

/// A callsite as it was reached on one path.
#[derive(Debug)]
struct Node {
    callsite: Number,
    /// [`NOWHERE`] for an outermost call.
    parent: u32,
    /// The path of the call that came after one of this path, last time.
    next: u32,
    /// In the request that is being added, in ticks; none where there was no call yet.
    now: Option<Sums>,
    windows: [CallsInWindow; 2],
}

const NOWHERE: u32 = u32::MAX;

/// Of a request with more calls, the memory is given back.
const MOST_KEPT: usize = 1024;

/// What a path takes, its bins aside: a node, and a number in a table of which at least half is used.
const NODE_BYTES: usize = size_of::<Node>() + 3 * size_of::<u32>();

impl Baseline {
    /// Enough for six sketches with a bin for each doubling.
    pub(super) const RESERVED_BYTES: usize = 600;

    pub(super) fn new(most_paths: usize) -> Self {
        Self {
            first: NOWHERE,
            most_paths,
            reserve: Quota::new(Self::RESERVED_BYTES),
            ..Self::default()
        }
    }

    /// How many paths so many bytes are enough for, their bins aside.
    pub(super) fn most_paths(bytes: usize) -> usize {
        bytes / NODE_BYTES
    }

    /// Adds a request.
    pub(super) fn add(
        &mut self,
        summary: &Summary,
        wall_ns: u64,
        outcome: &Outcome,
        window: u64,
        Scratch { paths, touched }: &mut Scratch,
        quota: &mut Quota,
    ) {
        self.turn_to(window, quota);
        let [requests, _] = &mut self.requests;
        requests.count += 1;
        match outcome {
            Outcome::Ok | Outcome::Running => {}
            Outcome::Failed(_) => requests.failed += 1,
            Outcome::Panicked => requests.panicked += 1,
            Outcome::Cancelled => requests.cancelled += 1,
        }
        requests.total += summary.total;
        let figures = [
            (&mut requests.wall, wall_ns),
            (&mut requests.allocates, summary.total.allocates()),
            (&mut requests.bytes, summary.total.bytes_allocated),
        ];
        for (sketch, figure) in figures {
            let share = (Self::RESERVED_BYTES / 6).saturating_sub(sketch.bytes());
            let fits = quota.with_reserve(&mut self.reserve, share, |quota| {
                sketch.record(figure, quota)
            });
            if !fits {
                // Whole requests: of their paths nothing is missing.
                self.lost.ever += 1;
            }
        }
        paths.clear();
        self.lost.add(summary.lost());
        // A path that is touched is one of these.
        let all = summary.calls().len();
        if paths.try_reserve(all).is_err() || touched.try_reserve(all).is_err() {
            return self
                .lost
                .add(summary.calls().iter().map(|call| call.calls).sum());
        }
        let mut guess = self.first;
        let mut before = NOWHERE;
        for call in summary.calls() {
            let parent = match call.parent {
                None => Some(NOWHERE),
                Some(parent) => { paths.get(parent) }.copied().filter(|it| *it != NOWHERE),
            };
            let path = parent.and_then(|parent| self.find(parent, call.callsite, guess, quota));
            let Some(path) = path else {
                self.lost.add(call.calls);
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
            node.now.get_or_insert_default().add(&Sums {
                calls: call.calls,
                failures: call.failures,
                cancelled: call.cancelled,
                wall: call.wall,
                busy: call.busy,
                total: call.total,
                peak_bytes: call.peak_bytes,
            });
            (before, guess) = (path, node.next);
        }
        for path in touched.drain(..) {
            let node = &mut self.nodes[path as usize];
            if let Some(now) = node.now.take()
                && !node.windows[0].add(&now, quota)
            {
                self.lost.add(now.calls);
            }
        }
        if paths.capacity() > MOST_KEPT {
            *paths = Vec::new();
            *touched = Vec::new();
        }
    }

    /// The path's number. The guess is mostly right: requests of one name are much alike.
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
            // Little by little, as doubling would take what there is no room for.
            let more = (nodes.len() / 8).max(8);
            let more = more.min(self.most_paths.checked_sub(nodes.len())?);
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

    /// Forgets what is too long ago, where another window has begun.
    pub(super) fn turn_to(&mut self, window: u64, quota: &mut Quota) {
        // A thread may come late; but where the clock was set back, another window has begun, too.
        if (window..window.saturating_add(3)).contains(&self.window) {
            return;
        }
        let is_next = window == self.window + 1;
        self.window = window;
        let before = self.bytes();
        self.requests.swap(0, 1);
        self.requests[0] = RequestsInWindow::default();
        self.lost.recently = [0, self.lost.recently[0]];
        if !is_next {
            self.requests[1] = RequestsInWindow::default();
            self.lost.recently[1] = 0;
        }
        for node in &mut self.nodes {
            node.windows.swap(0, 1);
            node.windows[0] = CallsInWindow::default();
            if !is_next {
                node.windows[1] = CallsInWindow::default();
            }
        }
        self.forget_unused();
        let free = before.saturating_sub(self.bytes());
        // What was taken of the reserve is given back to it first.
        let owed = (Self::RESERVED_BYTES - self.reserve.left()).min(free);
        self.reserve.give_back(owed);
        quota.give_back(free - owed);
    }

    /// Drops the paths on which nobody came for two windows.
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

    fn bytes(&self) -> usize {
        let windows = self.nodes.iter().flat_map(|node| &node.windows);
        let bins: usize = windows.map(CallsInWindow::bytes).sum();
        let nodes = self.nodes.capacity() * NODE_BYTES;
        nodes
            + bins
            + self
                .requests
                .iter()
                .map(RequestsInWindow::bytes)
                .sum::<usize>()
    }

    /// Calls whose path, or whose figures, found no room.
    pub(super) fn lost(&self) -> u64 {
        self.lost.ever
    }

    /// Whether all calls of both windows are in here.
    pub(super) fn is_whole(&self) -> bool {
        self.lost.recently == [0, 0]
    }

    /// The requests of both windows.
    pub(super) fn requests(&self) -> &[RequestsInWindow; 2] {
        &self.requests
    }

    /// The paths: the callsite, the path that leads there, and the calls of both windows.
    pub(super) fn paths(
        &self,
    ) -> impl Iterator<
        Item = (
            Option<&'static Callsite>,
            Option<usize>,
            &[CallsInWindow; 2],
        ),
    > {
        self.nodes.iter().map(|node| {
            let parent = (node.parent != NOWHERE).then_some(node.parent as usize);
            (Callsite::get(node.callsite), parent, &node.windows)
        })
    }
}

fn hash(hasher: &DefaultHashBuilder, parent: u32, callsite: Number) -> u64 {
    hasher.hash_one((parent, callsite.to_bits()))
}

impl Node {
    fn hash(&self, hasher: &DefaultHashBuilder) -> u64 {
        hash(hasher, self.parent, self.callsite)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_recent_is_of_this_window_and_the_one_before() {
        let mut baseline = Baseline::new(0);
        let mut quota = Quota::new(10_000);
        let mut recent = |window| {
            let (summary, mut scratch) = (Summary::new(), Scratch::default());
            let ok = Outcome::Ok;
            baseline.add(&summary, 1000, &ok, window, &mut scratch, &mut quota);
            baseline.requests().clone().map(|it| it.count)
        };
        assert_eq!(recent(10), [1, 0]);
        assert_eq!(recent(10), [2, 0]);
        assert_eq!(recent(11), [1, 2]);
        // A thread that comes late.
        assert_eq!(recent(10), [2, 2]);
        assert_eq!(recent(13), [1, 0]);
        // A clock that was set back.
        assert_eq!(recent(7), [1, 0]);
        assert_eq!(recent(8), [1, 1]);
    }

    #[test]
    fn the_reserve_is_for_whole_requests() {
        let mut baseline = Baseline::new(0);
        let (mut quota, mut scratch) = (Quota::default(), Scratch::default());
        let mut summary = Summary::new();
        let mut number: u64 = 1;
        for window in 1..=6 {
            for _ in 0..2000 {
                number = number
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let figure = |bits: u32| (16 << (number >> 60)) + (number << bits >> 44);
                summary.total.allocations = figure(3) >> 8;
                summary.total.bytes_allocated = figure(9);
                let wall = figure(15);
                let ok = Outcome::Ok;
                baseline.add(&summary, wall, &ok, window, &mut scratch, &mut quota);
            }
            for requests in baseline.requests().iter().filter(|it| it.count > 0) {
                for sketch in [&requests.wall, &requests.bytes] {
                    assert!(sketch.percentiles().is_some(), "in window {window}");
                }
                let bins = requests.allocates.bins();
                let counted: u64 = bins.iter().map(|(.., count)| count).sum();
                assert_eq!(counted, requests.count);
            }
        }
        assert_eq!((quota.left(), baseline.lost()), (0, 0));
        let used: usize = baseline.requests.iter().map(RequestsInWindow::bytes).sum();
        assert_eq!(baseline.reserve.left(), Baseline::RESERVED_BYTES - used);
    }
}
