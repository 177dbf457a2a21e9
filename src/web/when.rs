//! When something happened: the local time of the wall clock, and how long ago that was.

use std::time::{Duration, SystemTime};

use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};
use maud::{Markup, html};

use crate::report::units::plural;

/// The moment at which a page is made, and the time zone of the machine.
pub(super) struct When {
    now: SystemTime,
    zone: TimeZone,
}

impl When {
    /// Reads the clock and the system's time zone: UTC if there is none.
    pub(super) fn now() -> Self {
        Self {
            now: SystemTime::now(),
            zone: TimeZone::system(),
        }
    }

    /// Returns another moment, in UTC.
    #[cfg(test)]
    pub(super) fn utc(now: SystemTime) -> Self {
        let zone = TimeZone::UTC;
        Self { now, zone }
    }

    pub(super) fn moment(&self) -> SystemTime {
        self.now
    }

    /// Returns `None` for a time of no calendar.
    fn local(&self, at: SystemTime) -> Option<ZonedDateTime> {
        Some(
            Timestamp::try_from(at)
                .ok()?
                .to_zoned_datetime(self.zone.clone()),
        )
    }

    /// Makes an element with the time to the millisecond. It has the date if that is not today's, and the offset from
    /// UTC if that is not the one that the page states.
    pub(super) fn time(&self, at: SystemTime) -> Markup {
        let (Some(local), Some(now)) = (self.local(at), self.local(self.now)) else {
            return html! { "n/a" };
        };
        let mut format = "%H:%M:%S%.3f".to_owned();
        if local.date() != now.date() {
            format.insert_str(0, "%Y-%m-%d ");
        }
        if local.offset() != now.offset() {
            format.push_str(" UTC%:z");
        }
        let machine = local.strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string();
        html! { time datetime=(machine) { (local.strftime(&format).to_string()) } }
    }

    /// Makes an element with the time, and below it how long ago that was.
    pub(super) fn time_ago(&self, at: SystemTime) -> Markup {
        html! { (self.time(at)) span.usual { (self.ago(at)) } }
    }

    /// Returns `3 min ago`, or `in 3 min` if the clock was set back since.
    pub(super) fn ago(&self, at: SystemTime) -> String {
        match self.now.duration_since(at) {
            Ok(age) if age.as_secs() == 0 => "just now".to_owned(),
            Ok(age) => format!("{} ago", roughly(age)),
            Err(ahead) => format!("in {}", roughly(ahead.duration())),
        }
    }

    /// Returns the hour and the minute.
    pub(super) fn minute(&self, at: SystemTime) -> String {
        let local = self.local(at);
        local.map_or_else(String::new, |it| it.strftime("%H:%M").to_string())
    }

    /// States when the page was made, and the offset of all its times.
    pub(super) fn stated(&self) -> Markup {
        let Some(now) = self.local(self.now) else {
            return html! {};
        };
        let name = self.zone.iana_name();
        let zone = name.filter(|name| !name.ends_with("UTC") && !self.zone.is_unknown());
        let machine = now.strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string();
        html! {
            "Times are UTC" (now.strftime("%:z").to_string())
            @if let Some(zone) = zone { ", " (zone) }
            ". This page was made at " time datetime=(machine) { (now.strftime("%Y-%m-%d %H:%M:%S").to_string()) }
        }
    }
}

/// Returns a time in one unit, rounded down.
fn roughly(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..172_800 => format!("{} h", seconds / 3_600),
        _ => plural(seconds / 86_400, "day"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(seconds * 1000 + 7)
    }

    /// 2026-10-25 01:30 UTC, half an hour after the end of summer time in Berlin.
    const NOW: u64 = 1_792_891_800;

    fn berlin() -> When {
        // As the database has it, for machines without one.
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        When { now: at(NOW), zone }
    }

    #[test]
    fn a_time_has_its_date_and_offset_if_they_are_not_those_of_the_page() {
        let berlin = berlin();
        let shown = |seconds| berlin.time(at(seconds)).into_string();
        assert_eq!(
            [shown(NOW - 60), shown(NOW - 3600), shown(NOW - 86_400)],
            [
                "<time datetime=\"2026-10-25T02:29:00.007+01:00\">02:29:00.007</time>",
                "<time datetime=\"2026-10-25T02:30:00.007+02:00\">02:30:00.007 UTC+02:00</time>",
                "<time datetime=\"2026-10-24T03:30:00.007+02:00\">2026-10-24 03:30:00.007 UTC+02:00</time>",
            ]
        );
        assert_eq!(
            berlin.stated().into_string(),
            "Times are UTC+01:00. This page was made at <time datetime=\"2026-10-25T02:30:00.007+01:00\">2026-10-25 02:30:00</time>"
        );
    }

    #[test]
    fn how_long_ago_is_rounded_down() {
        let berlin = berlin();
        let ago = |seconds| berlin.ago(at(NOW - seconds));
        assert_eq!(
            [0, 59, 60, 3_599, 3_600, 172_799, 172_800].map(ago),
            [
                "just now",
                "59 s ago",
                "1 min ago",
                "59 min ago",
                "1 h ago",
                "47 h ago",
                "2 days ago"
            ]
        );
        assert_eq!(berlin.ago(at(NOW + 90)), "in 1 min");
    }

    #[test]
    fn times_of_no_calendar_are_shown_as_unknown() {
        let far = UNIX_EPOCH + Duration::from_secs(1 << 40);
        assert_eq!(berlin().time(far).into_string(), "n/a");
        assert_eq!(berlin().minute(far), "");
    }
}
