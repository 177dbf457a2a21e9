//! Pools and directories.

use std::sync::atomic::Ordering::Relaxed;

use loom::thread;

use super::{explore, leak};
use crate::primitives::pool::{Directory, Member, Number, Pool};
use crate::primitives::sync::AtomicU32;

/// A member's value: its owner changes it with a load and a store. Two owners at once, or one that has
/// not seen the last one's store, would lose a change.
struct Used(AtomicU32);

fn take(pool: &Pool<Used>) -> &'static Member<Used> {
    let member = pool.take(|| Used(AtomicU32::new(0))).unwrap();
    let uses = member.0.load(Relaxed);
    member.0.store(uses + 1, Relaxed);
    member
}

fn uses(member: &Used) -> u32 {
    member.0.load(Relaxed)
}

/// Returns all members, and takes the free ones.
fn members(pool: &Pool<Used>) -> Vec<&'static Member<Used>> {
    let numbers = (0..).map_while(|number| pool.get(Number::from_bits(number)));
    numbers.collect()
}

/// Between a load of the first free member's successor and the exchange, others take both and give the
/// first one back. Then the successor is not free.
#[test]
fn no_member_is_out_twice() {
    explore(3, || {
        let pool = leak(Pool::new());
        let first = [take(pool), take(pool), take(pool)];
        for member in first {
            pool.give(member);
        }
        let other = thread::spawn(|| take(pool));
        let kept = {
            let (one, two) = (take(pool), take(pool));
            pool.give(one);
            two
        };
        let third = other.join().unwrap();
        let mut out = [kept, third, take(pool)].map(Member::number);
        out.sort_by_key(|number| number.to_bits());
        assert_eq!(out, [0, 1, 2].map(Number::from_bits));
        let uses: u32 = members(pool).into_iter().map(|member| uses(member)).sum();
        assert_eq!(uses, 7);
    });
}

#[test]
fn a_pool_holds_as_many_as_were_out_at_once() {
    explore(3, || {
        let pool = leak(Pool::new());
        let take_and_give = || pool.give(take(pool));
        let threads = [0; 2].map(|_| thread::spawn(take_and_give));
        take_and_give();
        for thread in threads {
            thread.join().unwrap();
        }
        let made = members(pool).len();
        assert!((1..=3).contains(&made), "{made}");
        let mut out: Vec<_> = (0..made).map(|_| take(pool).number().to_bits()).collect();
        out.sort_unstable();
        assert!(
            (0..).zip(&out).all(|(number, out)| number == *out),
            "{out:?}"
        );
        let uses: u32 = members(pool).into_iter().map(|member| uses(member)).sum();
        assert_eq!(uses as usize, 3 + made);
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
