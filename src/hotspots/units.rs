//! Figures with their units.

use std::time::Duration;

use crate::report::units::{bytes, count, time};

use super::by::{By, Unit};

impl By {
    /// Returns the figure with its unit.
    pub(crate) fn shown(self, figure: u64) -> String {
        match self.unit() {
            Unit::Count => count(figure),
            Unit::Nanoseconds => time(Duration::from_nanos(figure)),
            Unit::Bytes => bytes(figure),
        }
    }
}
