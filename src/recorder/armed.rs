//! What is armed, as the recorder's statistics show it.

use std::fmt;

/// Counts of [arming](super::Statistics::arming), since the recorder was started.
///
/// All are 0 without the feature `sites`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ArmingStatistics {
    /// How often a route was armed, by itself or by hand.
    pub routes: u64,
    /// Requests of armed routes that recorded which lines allocate.
    pub requests: u64,
    /// How often a route was not armed, because as many routes were as may be at a time.
    pub too_many_routes: u64,
    /// Requests of armed routes that did not record their lines, because as many had in this minute, or were
    /// in flight, as may be.
    pub too_many_requests: u64,
    /// Requests beyond the baseline of a route that was not armed by itself, because it had been within the
    /// length of a window.
    pub too_soon: u64,
    /// Requests that got the name of an armed route after they had begun to run, which is too late.
    pub too_late: u64,
}

/// How far an armed route has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ArmedRoute {
    /// Requests that have begun to record which lines allocate.
    pub begun: u32,
    /// How many there will be.
    pub of: u32,
}

/// `armed, 12 of 20`
impl fmt::Display for ArmedRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "armed, {} of {}", self.begun, self.of)
    }
}
