//! Callsites.

use loom::thread;

use super::{explore, leak};
use crate::store::callsite::Callsite;
use crate::store::interned::NewCallsite;

/// Two threads reach a callsite for the first time.
#[test]
fn a_number_leads_to_its_callsite() {
    explore(3, || {
        let place = ("module", "file", 1);
        let callsite = leak(Callsite::named("function", place, false, &[]));
        let is_found = || {
            let found = Callsite::get(callsite.number());
            assert!(found.is_some_and(|found| std::ptr::eq(found, callsite)));
        };
        let elsewhere = thread::spawn(is_found);
        is_found();
        elsewhere.join().unwrap();
        is_found();
    });
}

/// Two threads make a callsite for the same static.
#[test]
fn a_callsite_known_at_run_time_is_made_once() {
    static KEY: u8 = 0;
    explore(3, || {
        let find = || {
            let new = NewCallsite {
                name: "function",
                ..NewCallsite::default()
            };
            let callsite = new.intern_for(&KEY);
            assert_eq!(callsite.name(), "function");
            std::ptr::from_ref(callsite).addr()
        };
        let elsewhere = thread::spawn(find);
        let here = find();
        assert_eq!(elsewhere.join().unwrap(), here);
        assert_eq!(find(), here);
    });
}
