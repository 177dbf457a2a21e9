//! Events: checkpoints and failures of calls.

use super::Model;
use super::spans::Entry;

impl Model {
    pub(super) fn event(&mut self, has_error: bool) {
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

    pub(super) fn event_of(&mut self, span: usize, has_error: bool) {
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

    pub(super) fn checkpoint(&mut self, call: usize, has_error: bool) {
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
