//! Pools and directories.

use std::sync::atomic::Ordering::Relaxed;

use loom::thread;

use super::{explore, leak};
use crate::primitives::pool::{Directory, Member, Number, Pool};
use crate::primitives::sync::AtomicU32;

/// A member's value: its owner changes it with a load and a store. Two owners at once, or one that has
/// not seen the last one's store, would lose a change.
struct Used(AtomicU32);

/// Takes a member as a thread of this part.
fn take(pool: &Pool<Used>, part: usize) -> &'static Member<Used> {
    let make = || Some(Used(AtomicU32::new(0)));
    let member = pool.take_at(part, make).unwrap();
    let uses = member.0.load(Relaxed);
    member.0.store(uses + 1, Relaxed);
    member
}

fn take_and_give(pool: &Pool<Used>, part: usize) {
    pool.give_at(part, take(pool, part));
}

fn uses(member: &Used) -> u32 {
    member.0.load(Relaxed)
}

/// Returns all members, and takes the free ones.
fn members(pool: &Pool<Used>) -> Vec<&'static Member<Used>> {
    let numbers = (0..).map_while(|number| pool.get(Number::from_bits(number)));
    numbers.collect()
}

/// Asserts that each member is free in one place: all can be taken, and no one twice. Returns how many there are.
fn assert_all_free(pool: &Pool<Used>) -> usize {
    let made = members(pool).len();
    let mut out: Vec<_> = (0..made)
        .map(|_| take(pool, 0).number().to_bits())
        .collect();
    out.sort_unstable();
    let all = (0..).zip(&out).all(|(number, out)| number == *out);
    assert!(all, "{out:?}");
    made
}

/// Between a load of the first free member's successor and the exchange, others take both and give the
/// first one back. Then the successor is not free. The thread is in the same part, or takes from it.
#[test]
fn no_member_is_out_twice() {
    for part in [0, 1] {
        explore(3, move || {
            let pool = leak(Pool::new());
            let first = [0; 3].map(|part| take(pool, part));
            for member in first {
                pool.give_at(0, member);
            }
            let other = thread::spawn(move || take(pool, part));
            let kept = {
                let (one, two) = (take(pool, 0), take(pool, 0));
                pool.give_at(0, one);
                two
            };
            let third = other.join().unwrap();
            let mut out = [kept, third, take(pool, 0)].map(Member::number);
            out.sort_by_key(|number| number.to_bits());
            assert_eq!(out, [0, 1, 2].map(Number::from_bits));
            let uses: u32 = members(pool).into_iter().map(|member| uses(member)).sum();
            assert_eq!(uses, 7);
        });
    }
}

/// Threads of one part and of several.
#[test]
fn a_pool_holds_as_many_as_were_out_at_once() {
    for (preemptions, parts) in [(3, [0, 0, 0]), (2, [0, 1, 2])] {
        explore(preemptions, move || {
            let pool = leak(Pool::new());
            let [first, others @ ..] = parts;
            let threads = others.map(|part| thread::spawn(move || take_and_give(pool, part)));
            take_and_give(pool, first);
            for thread in threads {
                thread.join().unwrap();
            }
            let made = assert_all_free(pool);
            assert!((1..=3).contains(&made), "{made}");
            let uses: u32 = members(pool).into_iter().map(|member| uses(member)).sum();
            assert_eq!(uses as usize, 3 + made);
        });
    }
}

/// One after the other, two members move from the last part to the first ones, while another thread looks through all
/// parts. At no moment is more than one out, so the other thread finds one.
#[test]
fn members_that_move_are_found() {
    explore(3, || {
        let pool = leak(Pool::new());
        for member in [0; 2].map(|part| take(pool, part)) {
            pool.give_at(2, member);
        }
        let mover = thread::spawn(|| {
            take_and_give(pool, 0);
            take_and_give(pool, 1);
        });
        take_and_give(pool, 0);
        mover.join().unwrap();
        assert_eq!(assert_all_free(pool), 2);
    });
}

/// One thread only takes, and another one of another part only gives.
#[test]
fn members_taken_here_and_given_there_are_not_lost() {
    explore(3, || {
        let pool = leak(Pool::new());
        let first = [0; 2].map(|part| take(pool, part));
        let giver = thread::spawn(move || first.map(|member| pool.give_at(1, member)));
        let taken = [0; 2].map(|part| take(pool, part));
        giver.join().unwrap();
        let made = members(pool).len();
        assert!((2..=4).contains(&made), "{made}");
        for member in taken {
            pool.give_at(0, member);
        }
        assert_eq!(assert_all_free(pool), made);
    });
}

#[test]
fn what_is_found_by_its_number_is_what_was_added() {
    explore(3, || {
        let directory = leak(Directory::new());
        let add = || {
            let number = |number: Number| leak(AtomicU32::new(number.to_bits()));
            directory.add(|| Some(()), |(), it| number(it)).unwrap()
        };
        let found = |number| {
            let found = directory.get(Number::from_bits(number));
            found.map(|member| member.load(Relaxed))
        };
        // Two threads reach one segment, and one of them makes it.
        add();
        let threads = [0; 2].map(|_| thread::spawn(move || add().load(Relaxed)));
        for number in 1..=2 {
            assert!(found(number).is_none_or(|found| found == number));
        }
        let mut added = threads.map(|thread| thread.join().unwrap());
        added.sort_unstable();
        assert_eq!(added, [1, 2]);
        assert_eq!([0, 1, 2, 3].map(found), [Some(0), Some(1), Some(2), None]);
        assert_eq!(directory.len(), 3);
    });
}
