//! The values of a query as texts: moments, times and sizes.

use std::fmt;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;

use crate::report::duration::nanoseconds;

/// A moment: a point in time, or a time ago.
///
/// As a text: RFC 3339 (`2026-11-29T17:05:00Z`, `2026-11-29 18:05:00.250+01:00`), or a time ago (`90s`, `10m`, `2h`,
/// `7d`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// At this time.
    At(SystemTime),
    /// This long before the search.
    Ago(Duration),
}

impl When {
    /// Returns the moment as seen from `now`.
    pub fn seen_from(self, now: SystemTime) -> SystemTime {
        match self {
            Self::At(time) => time,
            Self::Ago(time) => now.checked_sub(time).unwrap_or(SystemTime::UNIX_EPOCH),
        }
    }

    pub(super) const EXPECTED: &str =
        "a time such as 2026-11-29T17:05:00Z, or a time ago such as 90s, 10m, 2h, 7d";

    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Some(ago) = duration(text) {
            return Some(Self::Ago(ago));
        }
        // In a URL, a `+` that is not encoded stands for a space.
        let offset = text.rfind(' ').filter(|at| *at > "2026-11-29".len());
        let text = match offset {
            Some(at) => format!("{}+{}", &text[..at], &text[at + 1..]),
            None => text.to_owned(),
        };
        let time: Timestamp = text.parse().ok()?;
        time.try_into().ok().map(Self::At)
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ago(time) => f.write_str(&shown(*time)),
            Self::At(time) => Timestamp::try_from(*time).unwrap_or(Timestamp::MAX).fmt(f),
        }
    }
}

/// The units of times, with their nanoseconds, from the largest.
const TIMES: [(&str, u64); 9] = [
    ("d", 24 * 60 * 60 * 1_000_000_000),
    ("h", 60 * 60 * 1_000_000_000),
    ("m", 60 * 1_000_000_000),
    ("min", 60 * 1_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("µs", 1_000),
    ("ns", 1),
];

/// The units of sizes, with their bytes, from the largest.
const SIZES: [(&str, u64); 10] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1_000),
    ("B", 1),
    ("", 1),
];

pub(super) const EXPECTED_TIME: &str = "a time such as 250us, 30ms, 1.5s, 2m";
pub(super) const EXPECTED_SIZE: &str = "a size such as 100kB, 1.5MiB";

/// Parses a time with a unit.
pub fn duration(text: &str) -> Option<Duration> {
    amount(text, &TIMES).map(Duration::from_nanos)
}

/// Parses a size, in bytes if it has no unit.
pub(super) fn bytes(text: &str) -> Option<u64> {
    amount(text, &SIZES)
}

/// Writes a time in the largest unit in which it is a whole number; up to 584 years.
pub(super) fn shown(time: Duration) -> String {
    whole(nanoseconds(time), &TIMES)
}

pub(super) fn shown_bytes(bytes: u64) -> String {
    whole(bytes, &SIZES)
}

fn whole(number: u64, units: &[(&str, u64)]) -> String {
    let fits = |it: &&(&str, u64)| number > 0 && number.is_multiple_of(it.1);
    let smallest = || units.iter().find(|it| it.1 == 1);
    let unit = units.iter().find(fits).or_else(smallest);
    unit.map_or_else(String::new, |(unit, size)| {
        format!("{}{unit}", number / size)
    })
}

/// Parses a number with a unit. The number may have decimals, as far as they are whole in the smallest unit.
fn amount(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let end = text.find(|it: char| !it.is_ascii_digit() && it != '.');
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    let unit = unit.trim();
    let (_, size) = units.iter().find(|(name, _)| *name == unit)?;
    let (before, after) = number.split_once('.').unwrap_or((number, ""));
    let is_bare = number.ends_with('.') || before.is_empty();
    if is_bare || after.contains('.') || after.len() > 15 {
        return None;
    }
    let before = u128::from(before.parse::<u64>().ok()?) * u128::from(*size);
    let digits = u32::try_from(after.len()).ok()?;
    let after: u64 = if after.is_empty() {
        0
    } else {
        after.parse().ok()?
    };
    let after = u128::from(after) * u128::from(*size) / 10_u128.pow(digits);
    u64::try_from(before + after).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn amounts_have_units_and_decimals() {
        let ms = Duration::from_millis;
        for (text, expected) in [
            ("1.5s", Some(ms(1500))),
            ("250us", Some(Duration::from_micros(250))),
            ("2 min", Some(ms(120_000))),
            ("0.0000001ns", Some(Duration::ZERO)),
            (
                "18446744073709551615ns",
                Some(Duration::from_nanos(u64::MAX)),
            ),
            ("18446744073709551616ns", None),
            ("584943d", None),
            ("5", None),
            ("s", None),
            (".5s", None),
            ("5.s", None),
            ("1.2.3s", None),
            ("-1s", None),
            ("1e3s", None),
            ("", None),
        ] {
            assert_eq!(duration(text), expected, "{text}");
        }
        for (text, expected) in [
            ("1.5MiB", Some(3 << 19)),
            ("1000", Some(1000)),
            ("100 kB", Some(100_000)),
            ("1mb", None),
            ("99999999TiB", None),
        ] {
            assert_eq!(bytes(text), expected, "{text}");
        }
        assert_eq!([0, 1536, 3 << 20].map(shown_bytes), ["0B", "1536B", "3MiB"]);
        assert_eq!(shown(ms(90_000)), "90s");
    }

    #[test]
    fn moments_are_those_of_rfc_3339() {
        let at = |ms: u64| Some(When::At(SystemTime::UNIX_EPOCH + Duration::from_millis(ms)));
        for (text, expected) in [
            ("1970-01-01T00:00:01Z", at(1000)),
            ("1970-01-01T01:00:01.5+01:00", at(1500)),
            ("1970-01-01 01:00:01.5 01:00", at(1500)),
            ("10m", Some(When::Ago(Duration::from_secs(600)))),
            // Without an offset it could be anywhere.
            ("1970-01-01T00:00:01", None),
            ("1970-01-01", None),
            ("1970-13-01T00:00:01Z", None),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(When::parse(text), expected, "{text}");
        }
        let ago = When::Ago(Duration::from_secs(1));
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(3);
        assert_eq!(Some(When::At(ago.seen_from(now))), at(2000));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(ns: u64, seconds in -60_000_000_000_i64..200_000_000_000, more in 0_u32..1_000_000_000) {
            let time = Duration::from_nanos(ns);
            prop_assert_eq!(duration(&shown(time)), Some(time));
            prop_assert_eq!(bytes(&shown_bytes(ns)), Some(ns));
            let distance = Duration::from_secs(seconds.unsigned_abs());
            let second = if seconds < 0 { SystemTime::UNIX_EPOCH.checked_sub(distance) } else { SystemTime::UNIX_EPOCH.checked_add(distance) };
            let when = When::At(second.unwrap() + Duration::from_nanos(more.into()));
            prop_assert_eq!(When::parse(&when.to_string()), Some(when));
        }
    }
}
