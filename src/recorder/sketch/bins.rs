//! The bins of a sketch: their numbers and bounds.

/// The number of bins for each doubling: a value is known to a thirty-second of itself.
pub(super) const BINS_PER_OCTAVE: u32 = 16;
/// Smaller values have a bin each.
const EXACT: u64 = 2 * BINS_PER_OCTAVE as u64;

/// Returns the number of a value's bin.
#[inline]
pub(super) fn bin_of(value: u64) -> usize {
    let bits = (value | u64::from(BINS_PER_OCTAVE)).ilog2();
    // 0 for the values that have a bin each.
    let octave = bits - BINS_PER_OCTAVE.ilog2();
    let within = usize::try_from(value >> octave).unwrap_or(0);
    (octave * BINS_PER_OCTAVE) as usize + within
}

/// Returns the lowest value of a bin and that of the next one.
pub(super) fn bounds(bin: usize) -> (u64, u64) {
    let bin = bin as u64;
    if bin < EXACT {
        return (bin, bin + 1);
    }
    let per_octave = u64::from(BINS_PER_OCTAVE);
    let octave = bin / per_octave - 2;
    let lowest = (bin % per_octave + per_octave) << (octave + 1);
    (lowest, lowest.saturating_add(1 << (octave + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_follow_each_other_without_a_gap() {
        let mut next = 0;
        for bin in 0..=bin_of(u64::MAX) {
            let (lowest, after) = bounds(bin);
            assert_eq!(
                (lowest, bin_of(lowest), bin_of(after - 1)),
                (next, bin, bin)
            );
            assert!(after == u64::MAX || (after - lowest) * 16 <= lowest.max(16));
            next = after;
        }
        assert_eq!(next, u64::MAX);
    }
}
