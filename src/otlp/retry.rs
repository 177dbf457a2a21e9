//! How long to wait before another attempt.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Intervals that grow from one attempt to the next.
pub(super) struct Backoff {
    next: Duration,
    random: RandomState,
    attempts: u64,
}

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);

impl Backoff {
    pub(super) fn new() -> Self {
        Self {
            next: FIRST,
            random: RandomState::new(),
            attempts: 0,
        }
    }

    /// Returns the next interval: half to one and a half of the usual one, so that not all services come
    /// back at once.
    pub(super) fn next(&mut self) -> Duration {
        let usual = self.next;
        self.next = (usual * 3 / 2).min(LONGEST);
        self.attempts += 1;
        // Between 0 and 999. The standard library's random keys are all the randomness that is needed.
        let random = self.random.hash_one(self.attempts) % 1000;
        usual / 2 + usual / 1000 * u32::try_from(random).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_grow_to_a_limit_and_vary() {
        let mut backoff = Backoff::new();
        let mut usual = FIRST;
        for _ in 0..20 {
            let next = backoff.next();
            assert!(
                next >= usual / 2 && next <= usual * 3 / 2,
                "{next:?} of {usual:?}"
            );
            usual = (usual * 3 / 2).min(LONGEST);
        }
        let all: Vec<_> = (0..20).map(|_| Backoff::new().next()).collect();
        assert!(all.iter().any(|it| *it != all[0]));
    }
}
