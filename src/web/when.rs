//! Moments in lists.

use std::time::SystemTime;

use jiff::Timestamp;

/// Returns a time of day in UTC: `2026-11-29 17:05:00.250`.
pub(super) fn shown(time: SystemTime) -> String {
    let time = Timestamp::try_from(time).unwrap_or_default();
    time.strftime("%Y-%m-%d %H:%M:%S%.3f").to_string()
}
