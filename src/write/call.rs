//! `Call`: the public guard of one timed function. `start_stop`, `checkpoint` and `failure` do its work.

use std::fmt::{self, Display};

use crate::primitives::text::Text;
use crate::store::callsite::Callsite;
use crate::store::chunk::CallRef;
use crate::store::formatted::Formatted;
use crate::write::checkpoint;
use crate::write::cursor;
use crate::write::failure;
use crate::write::start_stop;

/// Guard of one timed call, made by [`call!`](crate::call!) and [`#[traced]`](crate::traced): the call
/// stops when this is dropped.
///
/// Without a current trace it does nothing, and costs a load and a branch.
///
/// It may be moved, sent, held over an `.await`, dropped in any order or leaked; the calls around it
/// and beside it stay exact. If it is dropped on a thread that does not run its strand, the call has its
/// time and the allocations known at that moment, and is marked
/// [`partial`](crate::CallReport::partial).
#[doc(alias = "span")]
#[must_use = "the call stops when the guard is dropped: bind it, `let _call = call!();`; `let _ = …` drops it at once"]
pub struct Call(Option<CallRef>);

impl Call {
    /// Returns a call that is not recorded.
    #[doc(hidden)]
    #[inline]
    pub const fn none() -> Self {
        Self(None)
    }

    /// For the macros: returns whether a trace is current, so that an id and labels need to be
    /// formatted.
    #[doc(hidden)]
    #[inline]
    pub fn is_enabled() -> bool {
        cursor::here(|here| here.strand().is_some())
    }

    /// For the macros: starts a call.
    #[doc(hidden)]
    #[inline]
    pub fn start(callsite: &'static Callsite) -> Self {
        if Self::is_enabled() {
            Self(start_stop::start(callsite))
        } else {
            Self::none()
        }
    }

    /// For the macros: starts a call with an id and no labels. A trace is current.
    #[doc(hidden)]
    #[inline(never)]
    pub fn start_with_id(callsite: &'static Callsite, id: fmt::Arguments<'_>) -> Self {
        // Before anything is read: formatting is foreign code, and may trace.
        let mut text = Formatted::new();
        text.format(id);
        match text.short() {
            Some(short) => Self(start_stop::start_with_short(callsite, &short)),
            None => Self(start_stop::start_with(callsite, text.long().as_bytes())),
        }
    }

    /// For the macros: starts a call with an id, labels, or both, as the callsite says.
    #[doc(hidden)]
    pub fn start_with(
        callsite: &'static Callsite,
        id: Option<&dyn Display>,
        labels: &[&dyn Display],
    ) -> Self {
        if !Self::is_enabled() {
            return Self::none();
        }
        // Before anything is read: formatting is foreign code, and may trace.
        let text = Text::of_call(id, labels);
        Self(start_stop::start_with(callsite, text.as_bytes()))
    }

    /// Opens a call of the current trace at a callsite that was made by [`Callsite::new`] or
    /// [`NewCallsite`](crate::NewCallsite), without id and labels. Without a current trace it does
    /// nothing.
    ///
    /// Cost: that of [`call!`](crate::call!).
    #[inline]
    pub fn open(callsite: &'static Callsite) -> Self {
        if callsite.has_texts() {
            return Self::open_with(callsite, None, &[]);
        }
        Self::start(callsite)
    }

    /// Opens a call of the current trace with an id, labels, or both. The labels are the values for the
    /// [names](Callsite::with_labels) of the callsite, in their order.
    ///
    /// The call lacks an id or a label that is `None`, and each label beyond the end of the values. An id
    /// is ignored if the callsite was made without [ids](Callsite::with_id), and so are values beyond the
    /// end of the names. Without a current trace nothing is formatted.
    ///
    /// Cost: that of [`call!`](crate::call!) with labels.
    pub fn open_with(
        callsite: &'static Callsite,
        id: Option<&dyn Display>,
        labels: &[Option<&dyn Display>],
    ) -> Self {
        if !Self::is_enabled() {
            return Self::none();
        }
        if !callsite.has_texts() {
            return Self(start_stop::start(callsite));
        }
        // Before anything is read: formatting is foreign code, and may trace.
        let text = callsite.write_texts(id, labels);
        Self(start_stop::start_with(callsite, text.as_bytes()))
    }

    /// Sets a checkpoint: a named moment, with the time and the allocations since the checkpoint before.
    /// Name it after the step that has just been done.
    ///
    /// Names longer than 1,024 bytes are cut. Costs a clock read and a few stores.
    #[doc(alias = "event")]
    #[inline]
    pub fn checkpoint(&self, name: &str) {
        if let Some(call) = self.0 {
            checkpoint::checkpoint(call, name);
        }
    }

    /// Marks the call as failed, with a message. The call goes on until it stops. If there are several
    /// messages, the report has the last one.
    ///
    /// ```
    /// use tracer::{Outcome, Trace, call};
    ///
    /// fn parse(input: &str) -> Option<u8> {
    ///     let call = call!();
    ///     input.parse().map_err(|error| call.fail(&error)).ok()
    /// }
    ///
    /// let trace = Trace::new();
    /// let scope = trace.inject();
    /// assert_eq!(parse("300"), None);
    /// drop(scope);
    /// let failed = Outcome::Failed("number too large to fit in target type".to_owned());
    /// assert_eq!(trace.report().calls[0].outcome, failed);
    /// ```
    #[doc(alias = "record_error")]
    pub fn fail(&self, why: &(impl Display + ?Sized)) {
        if let Some(call) = self.0 {
            failure::fail(call, &Text::of(&why));
        }
    }

    /// Stops the call, as dropping it does.
    #[inline]
    pub fn stop(self) {
        drop(self);
    }

    /// Returns whether this call is recorded: a trace was current, and held fewer calls than its
    /// [limit](crate::Limits::calls).
    pub fn is_recorded(&self) -> bool {
        self.0.is_some_and(|call| !call.record.state().is_folded())
    }

    pub(crate) const fn recorded(&self) -> Option<CallRef> {
        self.0
    }

    /// Takes the call out of its guard. The caller stops it.
    pub(crate) const fn take(&mut self) -> Option<CallRef> {
        self.0.take()
    }
}

impl Drop for Call {
    #[inline]
    fn drop(&mut self) {
        if let Some(call) = self.0 {
            start_stop::stop(call);
        }
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("is_recorded", &self.is_recorded())
            .finish_non_exhaustive()
    }
}
