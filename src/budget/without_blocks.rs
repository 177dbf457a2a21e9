//! In place of `blocks` without its feature: a balanced budget compares sums.

use std::fmt;
use std::panic::Location;

use alloc_counter::{Counts, Exceeded};

use crate::store::trace::Trace;

/// Whether a budget is balanced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Balance;

impl Balance {
    pub(super) const NONE: Self = Self;
    pub(super) const EXACT: Self = Self;

    #[expect(clippy::unused_self, reason = "as with the feature")]
    pub(super) fn follow(self, _: &Trace) -> Following {
        Following
    }
}

pub(super) struct Following;

impl Following {
    #[expect(clippy::unused_self, reason = "as with the feature")]
    pub(super) fn wait(&self) {}

    #[expect(clippy::unused_self, reason = "as with the feature")]
    pub(super) fn settled(&self) -> impl Future<Output = ()> {
        std::future::ready(())
    }

    #[expect(clippy::unused_self, reason = "as with the feature")]
    pub(super) fn left(&self) -> Left {
        Left
    }
}

/// What is known of the blocks that were not freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Left;

impl Left {
    pub(super) const UNKNOWN: Self = Self;

    /// Checks what happened, by the sums.
    #[expect(clippy::unused_self, reason = "as with the feature")]
    pub(super) fn judge(
        self,
        limits: alloc_counter::Budget,
        place: &'static Location<'static>,
        counts: Option<Counts>,
    ) -> Result<(), Exceeded> {
        limits.judge(place, counts, None)
    }
}

impl fmt::Display for Left {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}
