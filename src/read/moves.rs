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

/// Has a call leave `stopped` at the moment at which another thread stopped that, for the call around it. `moves` has
/// the call's moves in order, each with the moment at which it left which call, and `came` is when it started.
///
/// If the call was in there before, it was suspended, or else it has a move of that moment: what it did by its next
/// move was done before the stop. What came later came into a call that was over.
///
/// Returns when the call came into the one that it is inside of now. If that is `stopped` and it goes on, it is inside
/// of `around` since the stop, too: with a move of that moment if it came before, as it was suspended then.
pub(crate) fn leave_stopped<'a, P: Copy + PartialEq + 'a>(
    moves: impl IntoIterator<Item = (&'a mut u64, &'a mut P)>,
    mut came: u64,
    (stopped, moment): (P, u64),
    around: P,
) -> u64 {
    for (left, within) in moves {
        if *within == stopped && *left > moment {
            if came < moment {
                *left = moment;
            } else {
                *within = around;
            }
        }
        came = *left;
    }
    came
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

    #[test]
    fn a_stopped_call_is_left_when_it_stopped() {
        let left = |mut moves: Vec<(u64, char)>, came| {
            let all = moves.iter_mut().map(|(left, within)| (left, within));
            let last = leave_stopped(all, came, ('s', 10), 'a');
            assert_eq!(last, moves.last().map_or(came, |(left, _)| *left));
            moves
        };
        assert_eq!(left(vec![], 5), []);
        // Before the stop, or out of another one.
        assert_eq!(left(vec![(9, 's'), (20, 'x')], 5), [(9, 's'), (20, 'x')]);
        // In there at the stop, and with a move of that moment.
        assert_eq!(left(vec![(20, 's')], 5), [(10, 's')]);
        assert_eq!(left(vec![(10, 's'), (20, 's')], 5), [(10, 's'), (20, 'a')]);
        // Started, or come back, since the stop.
        assert_eq!(left(vec![(20, 's')], 12), [(20, 'a')]);
        assert_eq!(left(vec![(15, 'x'), (20, 's')], 5), [(15, 'x'), (20, 'a')]);
    }
}
