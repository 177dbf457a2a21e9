//! Paths of folded calls: each is there once, whichever thread adds it.

use loom::thread;

use super::{explore, leak};
use crate::primitives::pool::Number;
use crate::store::address::Address;
use crate::store::paths::Paths;

/// Two threads reach one callsite in one call, and one of them reaches a second callsite. With one
/// bucket, all are in one list.
#[test]
fn two_threads_find_one_path() {
    explore(3, || {
        let paths = leak(Paths::new());
        paths.reset(2);
        let number = Number::from_bits;
        let other = thread::spawn(move || {
            let path = paths.find(Address::NONE, number(7)).unwrap();
            assert_eq!((path.around(), path.callsite()), (Address::NONE, number(7)));
            path.number()
        });
        let inner = {
            let outer = paths.find(Address::NONE, number(7)).unwrap();
            let around = Address::of_path(outer.number());
            let inner = paths.find(around, number(7));
            // `None` if the other thread still holds a place that it will not need.
            (outer.number(), inner.map(|it| (it.around(), it.number())))
        };
        assert_eq!(other.join().unwrap(), inner.0);
        let all: Vec<_> = paths.in_order().iter().map(|it| it.number()).collect();
        match inner.1 {
            Some((around, number)) => {
                assert_eq!(around, Address::of_path(inner.0));
                assert_eq!(all, [inner.0, number]);
            }
            None => assert_eq!(all, [inner.0]),
        }
    });
}
