//! A part of a report: one call with those inside.

use std::time::Duration;

use crate::store::callsite::Callsite;

use super::Report;

impl Report {
    /// Returns the call of this callsite that started at this time with the calls inside; the whole report
    /// if there is no such call.
    pub(crate) fn within(self, callsite: &Callsite, start: Duration) -> Self {
        let is_root = |call: &super::CallReport| {
            call.start == start && call.line == callsite.line() && call.file == callsite.file()
        };
        let Some(root) = self.calls.iter().position(is_root) else {
            return self;
        };
        // Index of each call within the part; a call comes after its parent.
        let mut places: Vec<Option<usize>> = Vec::with_capacity(self.calls.len());
        let mut calls = Vec::new();
        for (place, mut call) in self.calls.into_iter().enumerate() {
            let parent = call.parent.and_then(|parent| places[parent]);
            let is_inside = place == root || parent.is_some();
            places.push(is_inside.then_some(calls.len()));
            if is_inside {
                call.parent = parent.filter(|_| place != root);
                calls.push(call);
            }
        }
        let mut folded_places: Vec<Option<usize>> = Vec::with_capacity(self.folded.len());
        let mut folded = Vec::new();
        for mut path in self.folded {
            let parent = path.parent.and_then(|parent| places[parent]);
            folded_places.push(parent.map(|_| folded.len()));
            if parent.is_some() {
                path.parent = parent;
                path.within = path.within.and_then(|within| folded_places[within]);
                folded.push(path);
            }
        }
        Self {
            elapsed: calls[0].wall,
            total: calls[0].total,
            subscriber: None,
            folded,
            calls,
            ..self
        }
    }
}
