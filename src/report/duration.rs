//! Durations as `{:?}` displays them, at a tenth of its cost, which was most of a line's.

use std::fmt;
use std::time::Duration;

/// Returns a duration in nanoseconds; saturates after 584 years.
#[cfg(any(feature = "serde", feature = "hotspots"))]
pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Displays a duration as `14.038083ms`: exactly, in the largest unit that it reaches, without trailing
/// zeros.
pub(crate) struct Exactly(pub(crate) Duration);

/// Length of the longest text: the digits of the seconds, the point, nine decimals, the unit.
const MAX_BYTES: usize = 20 + 1 + 9 + 3;

impl fmt::Display for Exactly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = u64::from(self.0.subsec_nanos());
        let (whole, fraction, places, unit) = match (self.0.as_secs(), nanos) {
            (0, 0..1_000) => (nanos, 0, 0, "ns"),
            (0, 1_000..1_000_000) => (nanos / 1_000, nanos % 1_000, 3, "µs"),
            (0, _) => (nanos / 1_000_000, nanos % 1_000_000, 6, "ms"),
            (seconds, _) => (seconds, nanos, 9, "s"),
        };
        // Written backwards.
        let mut bytes = [0; MAX_BYTES];
        let mut start = MAX_BYTES - unit.len();
        bytes[start..].copy_from_slice(unit.as_bytes());
        let mut rest = fraction;
        if fraction > 0 {
            let mut is_trailing = true;
            for _ in 0..places {
                let digit = rest % 10;
                rest /= 10;
                is_trailing &= digit == 0;
                if !is_trailing {
                    push(&mut bytes, &mut start, digit);
                }
            }
            start -= 1;
            bytes[start] = b'.';
        }
        rest = whole;
        loop {
            push(&mut bytes, &mut start, rest % 10);
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        f.write_str(std::str::from_utf8(&bytes[start..]).unwrap_or_default())
    }
}

fn push(bytes: &mut [u8], start: &mut usize, digit: u64) {
    *start -= 1;
    // Less than 10.
    bytes[*start] = b'0' + u8::try_from(digit).unwrap_or(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_rust_shows() {
        let check = |duration: Duration| {
            assert_eq!(Exactly(duration).to_string(), format!("{duration:?}"));
        };
        for shift in 0..64 {
            for near in [0, 1, 2, 5, 10, 99, 100, 1_000, 999_999] {
                let nanos = (1_u64 << shift).wrapping_add(near);
                check(Duration::from_nanos(nanos));
                check(Duration::from_nanos(nanos / 1000 * 1000));
                check(Duration::new(nanos, 120_000_000));
            }
        }
        check(Duration::ZERO);
        check(Duration::MAX);
    }
}
