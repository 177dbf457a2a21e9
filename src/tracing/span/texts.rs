//! The texts of a span, and why it failed: for the call that it has, and for those to come.

use crate::primitives::text::{Text, copied};
use crate::store::callsite::TextPlace;
use crate::store::chunk::CallRef;
use crate::write::failure;

use super::State;

impl State {
    /// Sets one of the texts: of the call, and of those to come.
    pub(in crate::tracing) fn set(&mut self, place: TextPlace, text: &Text) {
        if let Some(call) = self.call {
            self.labels.set(call, place, text);
        }
        alloc_counter::exclude(|| {
            let Some(value) = copied(text.as_str()) else {
                return;
            };
            let mut texts = self.callsite.read_texts(&self.text);
            self.callsite.set_text(&mut texts, place, value);
            let (id, labels) = &texts;
            let labels = labels.iter().map(|it| it.as_ref().map(|it| it as _));
            let labels: Vec<_> = labels.collect();
            let id = id.as_ref().map(|id| id as _);
            let text = self.callsite.write_texts(id, &labels);
            self.set_text(text.as_bytes());
        });
    }

    /// Marks the span as failed.
    pub(in crate::tracing) fn fail(&mut self, why: &Text) {
        match self.call {
            Some(call) => failure::fail(call, why),
            None => alloc_counter::exclude(|| self.failure = copied(why.as_str())),
        }
    }

    pub(super) fn set_text(&mut self, text: &[u8]) {
        self.text.clear();
        if self.text.capacity() < text.len() {
            let reserve = || self.text.try_reserve_exact(text.len());
            if alloc_counter::exclude(reserve).is_err() {
                return;
            }
        }
        self.text.extend_from_slice(text);
    }

    #[cold]
    pub(super) fn fail_late(&mut self, call: CallRef) {
        if let Some(why) = self.failure.take() {
            failure::fail(call, &Text::of(&why));
            alloc_counter::exclude(|| drop(why));
        }
    }
}
