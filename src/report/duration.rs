//! Durations as `{:?}` displays them, at a tenth of its cost, which was most of a line's.

use std::time::Duration;

use super::digits;

/// Returns a duration in nanoseconds; saturates after 584 years.
#[inline]
pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    let nanos = u64::from(duration.subsec_nanos());
    match duration.as_secs() {
        // Most are below a second.
        0 => nanos,
        seconds => { seconds.saturating_mul(1_000_000_000) }.saturating_add(nanos),
    }
}

/// Appends a duration as `14.038083ms`: exactly, in the largest unit that it reaches, without trailing zeros.
pub(crate) fn push_exactly(duration: Duration, text: &mut String) {
    let nanos = u64::from(duration.subsec_nanos());
    match (duration.as_secs(), nanos) {
        (0, 0..1_000) => {
            digits::push(nanos, text);
            text.push_str("ns");
        }
        (0, 1_000..1_000_000) => {
            digits::push(nanos / 1_000, text);
            push_fraction([nanos % 1_000], text);
            text.push_str("µs");
        }
        (0, _) => {
            digits::push(nanos / 1_000_000, text);
            push_fraction([nanos / 1_000 % 1_000, nanos % 1_000], text);
            text.push_str("ms");
        }
        (seconds, _) => {
            digits::push(seconds, text);
            let groups = [nanos / 1_000_000, nanos / 1_000 % 1_000, nanos % 1_000];
            push_fraction(groups, text);
            text.push('s');
        }
    }
}

/// Appends what is behind the point, in groups of three digits, and the point, unless all are 0.
#[inline]
fn push_fraction<const GROUPS: usize>(groups: [u64; GROUPS], text: &mut String) {
    let Some(last) = groups.iter().rposition(|group| *group > 0) else {
        return;
    };
    text.push('.');
    for group in &groups[..last] {
        digits::push_three(*group, text);
    }
    let group = groups[last];
    if group.is_multiple_of(100) {
        digits::push(group / 100, text);
    } else if group.is_multiple_of(10) {
        digits::push_two(group / 10, text);
    } else {
        digits::push_three(group, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_rust_shows() {
        let check = |duration: Duration| {
            let mut text = String::new();
            push_exactly(duration, &mut text);
            assert_eq!(text, format!("{duration:?}"));
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
