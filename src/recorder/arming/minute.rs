//! A limit on how many things happen in a minute.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// Counts what happens in a minute, which begins with the first thing after the last minute.
///
/// One word has both figures, so that they change together: the second in which the minute began, and the
/// count.
#[derive(Debug, Default)]
pub(super) struct Minute(AtomicU64);

/// One more, since a second of it is not whole.
const SECONDS: u32 = 61;

impl Minute {
    /// Counts one more at this moment, in nanoseconds. Returns the minute; `None` if it has as many as may be.
    pub(super) fn take(&self, now: u64, most: u32) -> Option<Begun> {
        let now = second_of(now);
        let with_one_more = |word: u64| {
            let (mut start, mut count) = unpacked(word);
            // A thread may come late. If the clock was set back by more, another minute begins.
            if count == 0 || now.abs_diff(start) >= SECONDS {
                (start, count) = (now, 0);
            }
            (count < most).then(|| packed(start, count + 1))
        };
        let mut word = self.0.load(Relaxed);
        loop {
            let next = with_one_more(word)?;
            match self.0.compare_exchange_weak(word, next, Relaxed, Relaxed) {
                Ok(_) => return Some(Begun(unpacked(next).0)),
                Err(other) => word = other,
            }
        }
    }

    /// Takes back what was counted in this minute, unless another one has begun.
    pub(super) fn give_back(&self, begun: Begun) {
        let one_less = |word: u64| {
            let (start, count) = unpacked(word);
            let count = count.checked_sub(1).filter(|_| start == begun.0)?;
            Some(packed(start, count))
        };
        let _ = self.0.fetch_update(Relaxed, Relaxed, one_less);
    }
}

/// The minute that began in this second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begun(u32);

fn second_of(nanoseconds: u64) -> u32 {
    u32::try_from(nanoseconds / 1_000_000_000).unwrap_or(u32::MAX)
}

fn packed(start: u32, count: u32) -> u64 {
    u64::from(start) << 32 | u64::from(count)
}

#[expect(clippy::cast_possible_truncation, reason = "these are the two halves")]
fn unpacked(word: u64) -> (u32, u32) {
    ((word >> 32) as u32, word as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(minute: &Minute, second: u64, times: u32) -> usize {
        let taken = (0..times).filter_map(|_| minute.take(second * 1_000_000_000, 3));
        taken.count()
    }

    #[test]
    fn no_minute_has_more_than_the_most() {
        let minute = Minute::default();
        assert_eq!(takes(&minute, 100, 2), 2);
        let before = minute.take(160_000_000_000, 3).unwrap();
        assert_eq!(takes(&minute, 160, 5), 0);
        assert_eq!(takes(&minute, 161, 5), 3);
        assert_eq!(takes(&minute, 160, 1), 0, "a thread that comes late");
        minute.give_back(before);
        assert_eq!(takes(&minute, 161, 1), 0, "that was another minute");
        minute.give_back(Begun(161));
        assert_eq!(takes(&minute, 200, 5), 1);
        assert_eq!(takes(&minute, 7, 5), 3, "a clock that was set back");
        assert!(Minute::default().take(0, 0).is_none());
    }
}
