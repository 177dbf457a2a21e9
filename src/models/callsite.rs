//! Callsites.

use loom::thread;

use super::{explore, leak};
use crate::callsite::Callsite;

/// Two threads come to it for the first time.
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
