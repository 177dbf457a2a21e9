//! Moves: in which call another stood, at which moment.
//!
//! A call that outlives the one in which it was opened goes on within another, and so does a future
//! that is polled elsewhere. Its parent is the call in which it was opened; what is spawned from it
//! later belongs to those around it then. All readers ask here, so that they agree.

/// In which call a call stood at a moment. `moves` has those in which it had been, each with the
/// moment at which it left; `now_in` is the one in which it is now.
pub(crate) fn around_at<P>(moves: impl IntoIterator<Item = (u64, P)>, now_in: P, moment: u64) -> P {
    let later = moves.into_iter().filter(|(left, _)| *left > moment);
    let first = later.min_by_key(|(left, _)| *left);
    first.map_or(now_in, |(_, around)| around)
}

/// In which call a call was opened: its parent.
pub(crate) fn opened_in<P>(moves: impl IntoIterator<Item = (u64, P)>, now_in: P) -> P {
    around_at(moves, now_in, 0)
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
        assert_eq!(opened_in([], 'c'), 'c');
    }
}
