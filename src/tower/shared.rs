//! `Shared`: an exchange that goes from one owner to the next.

use http::Response;
use http_body::Body;

use crate::primitives::fallible::Boxed;
use crate::primitives::spares::Spares;
use crate::recorder::Name;

use super::Options;
use super::exchange::Exchange;
use super::head::{Head, name};
use super::kept::{self, Tells};

/// An exchange, as it goes from the service to the future and on to the body; nothing once the request is over, or if it
/// is not recorded.
pub(super) struct Shared(Option<Boxed<Exchange>>);

static SPARES: Spares<Exchange> = Spares::new();

impl Shared {
    pub(super) const NONE: Self = Self(None);

    /// Begins a request, which has this name if the program's own rule gave one. Returns nothing if memory ran out:
    /// then the request is not recorded, and counts as dropped.
    pub(super) fn begin(options: &Options, name_given: Option<&str>, head: &Head<'_>) -> Self {
        let name = name_given.map_or_else(|| name(options, head), Name::of);
        alloc_counter::exclude(|| {
            let Some(mut exchange) = SPARES.take_or_make(Exchange::idle) else {
                options.recorder.begin_inside(name, None).lose();
                return Self::NONE;
            };
            exchange.start(options, name, head);
            Self(Some(exchange))
        })
    }

    #[inline]
    pub(super) fn get(&mut self) -> Option<&mut Exchange> {
        self.0.as_deref_mut()
    }

    /// Returns the exchange to another owner.
    #[inline]
    pub(super) fn take(&mut self) -> Self {
        Self(self.0.take())
    }

    /// Does what [`Exchange::end_poll`] does, before the guard is dropped, and in a way that can't panic.
    #[inline]
    pub(super) fn end_poll(mut self) -> Self {
        if let Some(exchange) = self.get() {
            exchange.is_polled = false;
        }
        self
    }

    /// Goes on with the body of this response, or ends the request if none follows.
    #[inline]
    pub(super) fn go_on_with<B: Body>(mut self, response: &mut Response<B>) -> Self {
        let Some(exchange) = self.get() else {
            return self;
        };
        exchange.expects(|| response.body().size_hint().exact());
        let has_no_body = exchange.ends_with_head();
        let is_over = has_no_body || response.body().is_end_stream();
        if !is_over {
            exchange.tell_in_head(response.headers_mut());
            return self;
        }
        if !has_no_body {
            exchange.body_ends();
        }
        if self.end() != Tells::Nowhere {
            kept::tell(response.headers_mut());
        }
        Self::NONE
    }

    /// Ends the request. Returns where the caller is to be told that it is kept; nowhere if it is not.
    pub(super) fn end(mut self) -> Tells {
        let Some(mut exchange) = self.0.take() else {
            return Tells::Nowhere;
        };
        alloc_counter::exclude(|| {
            let is_kept = exchange.end();
            let tells = exchange.tells;
            SPARES.give(exchange);
            if is_kept { tells } else { Tells::Nowhere }
        })
    }
}

/// Ends the request, if it has not ended.
impl Drop for Shared {
    #[inline]
    fn drop(&mut self) {
        if let Some(exchange) = self.0.take() {
            end_early(exchange);
        }
    }
}

#[cold]
fn end_early(mut exchange: Boxed<Exchange>) {
    alloc_counter::exclude(|| {
        exchange.end_early();
        SPARES.give(exchange);
    });
}
