//! Turns: never more than were begun, nor in more places than there are.

use loom::thread;

use super::{explore, leak};
use crate::primitives::turns::{Places, Turns};

/// Takes a turn as often as said, and returns how many there were.
fn take(turns: &Turns, places: &Places, times: u32) -> u32 {
    (0..times).map(|_| u32::from(turns.take(places))).sum()
}

/// Begins two turns, if there is one of so many places.
fn begin(turns: &Turns, places: &Places, most: u32) -> u32 {
    2 * u32::from(places.take(most) && turns.begin(2, places))
}

#[test]
fn as_many_are_taken_as_were_begun_and_places_are_given_back() {
    explore(3, || {
        let (turns, places) = leak((Turns::new(), Places::new()));
        let other = thread::spawn(|| {
            let begun = begin(turns, places, 1);
            (begun, take(turns, places, 2))
        });
        let begun = begin(turns, places, 1);
        let taken = take(turns, places, 2);
        let (other_begun, other_taken) = other.join().unwrap();
        let left = take(turns, places, 4);
        assert_eq!(begun + other_begun, taken + other_taken + left);
        assert!(begun + other_begun >= 2);
        assert!(!places.are_taken() && turns.left() == 0);
    });
}

/// With two threads that find one thing without turns, and places for two.
#[test]
fn one_thing_has_one_place() {
    explore(3, || {
        let (turns, places) = leak((Turns::new(), Places::new()));
        let other = thread::spawn(|| begin(turns, places, 2));
        let begun = begin(turns, places, 2) + other.join().unwrap();
        assert_eq!((begun, turns.left()), (2, 2));
        assert!(places.take(2) && !places.take(2));
    });
}

/// One thread ends the turns that another takes.
#[test]
fn the_last_turn_and_the_end_give_one_place_back() {
    explore(3, || {
        let (turns, places) = leak((Turns::new(), Places::new()));
        assert!(places.take(1) && turns.begin(1, places));
        let other = thread::spawn(|| turns.take(places));
        turns.end(1, places);
        let again = begin(turns, places, 1);
        other.join().unwrap();
        // A late turn may be one of those that were begun again.
        assert_eq!(places.are_taken(), turns.left() > 0);
        assert!(again == 0 || turns.left() > 0);
        assert_eq!(places.take(1), turns.left() == 0);
    });
}

/// One thread takes the last turn when another begins again.
#[test]
fn what_begins_again_has_its_place() {
    explore(3, || {
        let (turns, places) = leak((Turns::new(), Places::new()));
        assert!(places.take(1) && turns.begin(1, places));
        let other = thread::spawn(|| take(turns, places, 2));
        let has_begun = turns.begin_again(2) || begin(turns, places, 1) > 0;
        let taken = other.join().unwrap();
        // The place of the last turn may not have been given back yet.
        assert!(has_begun || taken == 1);
        assert!(taken + turns.left() <= 3);
        assert_eq!(places.are_taken(), turns.left() > 0);
    });
}
