//! Moves: which call another one was inside of, at which moment.
//!
//! A call that outlives the one in which it was opened moves into another, and so does a future that is
//! polled elsewhere. Its parent is the call in which it was opened. Strands that are spawned from it
//! later belong to the calls that are around it then. All readers use these functions, so that they
//! agree.

/// Returns the call that a call was inside of at a moment. `moves` has the earlier ones, each with the
/// moment at which the call left it; `now_in` is the present one.
pub(crate) fn around_at<M: Copy + Ord, P>(
    moves: impl IntoIterator<Item = (M, P)>,
    now_in: P,
    moment: M,
) -> P {
    let later = moves.into_iter().filter(|(left, _)| *left > moment);
    opened_in(later, now_in)
}

/// Returns the call in which a call was opened: its parent.
pub(crate) fn opened_in<M: Copy + Ord, P>(moves: impl IntoIterator<Item = (M, P)>, now_in: P) -> P {
    let first = moves.into_iter().min_by_key(|(left, _)| *left);
    first.map_or(now_in, |(_, around)| around)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_where_it_had_not_yet_left() {
        let moves = [(20, 'b'), (10, 'a')];
        assert_eq!(opened_in(moves, 'c'), 'a');
        assert_eq!(around_at(moves, 'c', 9), 'a');
        assert_eq!(around_at(moves, 'c', 10), 'b');
        assert_eq!(around_at(moves, 'c', 20), 'c');
        assert_eq!(opened_in::<u64, _>([], 'c'), 'c');
    }
}
