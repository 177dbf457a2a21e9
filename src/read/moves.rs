//! Moves: in which call another one was, at which moment.
//!
//! A call that outlives the one in which it was opened goes on within another, and so does a future
//! that is polled elsewhere. Its parent is the call in which it was opened; what is spawned from it
//! later belongs to the calls that are around it then. All readers ask here, so that they agree.

/// Returns the call in which a call was at a moment. `moves` has the calls in which it had been, each with
/// the moment at which it left; `now_in` is the one in which it is now.
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
