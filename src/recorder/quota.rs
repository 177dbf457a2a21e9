//! A limit on the memory that a part of the recorder takes.

/// The number of bytes that may still be taken.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Quota(usize);

impl Quota {
    pub(super) const fn new(bytes: usize) -> Self {
        Self(bytes)
    }

    /// Returns a quota that is never used up, for readers.
    pub(super) const fn unlimited() -> Self {
        Self(usize::MAX)
    }

    /// Returns how many bytes are left.
    pub(super) const fn left(&self) -> usize {
        self.0
    }

    /// Takes this many bytes; `None` if fewer are left.
    pub(super) fn take(&mut self, bytes: usize) -> Option<Taken<'_>> {
        self.0 = self.0.checked_sub(bytes)?;
        Some(Taken { from: self, bytes })
    }

    /// Takes this many bytes, or as many as are left.
    pub(super) fn take_at_most(&mut self, bytes: usize) {
        self.0 = self.0.saturating_sub(bytes);
    }

    /// Gives back bytes that were taken and [kept](Taken::keep).
    pub(super) fn give_back(&mut self, bytes: usize) {
        self.0 = self.0.saturating_add(bytes);
    }

    /// Lets `work` take from this quota, and after that at most `most` bytes from `reserve`.
    pub(super) fn with_reserve<T>(
        &mut self,
        reserve: &mut Self,
        most: usize,
        work: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let share = most.min(reserve.0);
        let mut both = Self(self.0.saturating_add(share));
        let done = work(&mut both);
        let unused = share.min(both.0);
        reserve.0 -= share - unused;
        self.0 = both.0 - unused;
        done
    }
}

/// Bytes taken from a quota. They go back when this is dropped, unless they are [kept](Self::keep).
#[must_use = "the bytes are given back at once if this is dropped"]
#[derive(Debug)]
pub(super) struct Taken<'a> {
    from: &'a mut Quota,
    bytes: usize,
}

impl Taken<'_> {
    /// Keeps the bytes taken until they are [given back](Quota::give_back): the memory was allocated.
    pub(super) fn keep(mut self) {
        self.bytes = 0;
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.from.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_goes_back_unless_it_is_kept() {
        let mut quota = Quota::new(10);
        assert!(quota.take(11).is_none());
        let taken = quota.take(4).unwrap();
        assert_eq!(taken.from.left(), 6);
        drop(taken);
        assert_eq!(quota.left(), 10);
        quota.take(4).unwrap().keep();
        assert_eq!(quota.left(), 6);
        quota.give_back(4);
        quota.take_at_most(7);
        assert_eq!(quota.left(), 3);
        quota.take_at_most(7);
        assert_eq!(quota.left(), 0);
    }

    #[test]
    fn a_reserve_is_taken_from_last() {
        let (mut quota, mut reserve) = (Quota::new(10), Quota::new(8));
        let mut take = |most, bytes| {
            let done = quota.with_reserve(&mut reserve, most, |both| {
                both.take(bytes).map(Taken::keep).is_some()
            });
            (done, quota.left(), reserve.left())
        };
        assert_eq!(take(5, 8), (true, 2, 8));
        assert_eq!(take(5, 8), (false, 2, 8));
        assert_eq!(take(5, 7), (true, 0, 3));
        assert_eq!(take(5, 4), (false, 0, 3));
        assert_eq!(take(5, 3), (true, 0, 0));
    }
}
