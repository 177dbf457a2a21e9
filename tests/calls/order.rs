//! Guards that are not dropped in the order of nesting: swapped, stored or leaked.

use std::cell::RefCell;

use tracer::alloc::measure;
use tracer::{Call, Trace, call};

use crate::boxes::boxes;
use crate::common::allocate;
use crate::lines::{calls, calls_of};
use crate::on_drop::OnDrop;
use crate::outcomes::outcomes;

#[test]
fn guards_dropped_in_any_order() {
    // The calls a, b and c are opened in this order, with 2, 4 and 8 blocks after each. Then one
    // stops, 16 blocks, one stops, 32 blocks, the last stops, 64 blocks. A block belongs to the self of
    // the youngest open call. Expected: the total and the self of a, b and c.
    let cases = [
        ("abc", [(14, 2), (28, 4), (56, 56)]),
        ("acb", [(14, 2), (60, 36), (24, 24)]),
        ("bac", [(30, 2), (12, 4), (56, 56)]),
        ("bca", [(62, 34), (12, 4), (24, 24)]),
        ("cab", [(30, 2), (60, 52), (8, 8)]),
        ("cba", [(62, 34), (28, 20), (8, 8)]),
    ];
    for (order, [a, b, c]) in cases {
        let trace = Trace::new();
        let scope = trace.inject();
        let around = call!("around");
        allocate(1);
        let mut guards = Vec::with_capacity(3);
        let outer = measure(|| {
            for (id, count) in [('a', 2), ('b', 4), ('c', 8)] {
                guards.push((id, call!("{id}")));
                allocate(count);
            }
            for (id, count) in order.chars().zip([16, 32, 64]) {
                guards.retain(|(other, _)| *other != id);
                allocate(count);
            }
        });
        assert_eq!(outer.counts, Some(boxes(126)));
        call!("after").stop();
        drop(guards);
        around.stop();
        drop(scope);
        let line = |id, parent, (total, own)| format!("{id} in {parent}: {total}, {own}, Ok");
        let report = trace.report();
        // The vector's block is allocated within `around`, but freed after it.
        let lines = calls_of(&report);
        assert_eq!(
            lines[1..],
            [
                line("a", "around", a),
                line("b", "a", b),
                line("c", "b", c),
                "after in around: 0, 0, Ok".to_owned(),
            ],
            "{order}"
        );
        assert_eq!(
            report.calls[0].self_counts.unwrap().allocations,
            1 + 64 + 1,
            "{order}"
        );
        assert_eq!(
            report.calls[0].total.unwrap().allocations,
            127 + 1,
            "{order}"
        );
    }
}

#[test]
fn a_leaked_guard_leaves_the_others_exact() {
    let trace = Trace::new();
    let scope = trace.inject();
    let around = call!("around");
    allocate(1);
    let leaked = call!("leaked");
    allocate(2);
    std::mem::forget(leaked);
    allocate(4);
    let after = call!("after");
    allocate(8);
    after.stop();
    around.stop();
    let next = call!("next");
    allocate(16);
    next.stop();
    drop(scope);
    assert_eq!(
        calls(&trace),
        [
            "around in -: 15, 1, Ok",
            "leaked in around: 30, 6, Running",
            "after in leaked: 8, 8, Ok",
            "next in leaked: 16, 16, Ok",
        ]
    );
}

#[test]
fn two_guards_swapped() {
    let trace = Trace::new();
    let scope = trace.inject();
    let around = call!("around");
    let (mut one, mut two) = (call!("one"), call!("two"));
    allocate(1);
    std::mem::swap(&mut one, &mut two);
    // Stops the inner call, then the outer one.
    drop(one);
    allocate(2);
    drop(two);
    allocate(4);
    around.stop();
    drop(scope);
    assert_eq!(
        calls(&trace),
        [
            "around in -: 7, 4, Ok",
            "one in around: 3, 2, Ok",
            "two in one: 1, 1, Ok",
        ]
    );
}

#[test]
fn the_guards_of_two_traces_swapped() {
    let (outer, inner) = (Trace::new(), Trace::new());
    let outer_scope = outer.inject();
    let mut one = call!("one");
    allocate(1);
    let inner_scope = inner.inject();
    let mut two = call!("two");
    allocate(2);
    std::mem::swap(&mut one, &mut two);
    // Stops `one` while its strand is not the current one.
    two.stop();
    allocate(4);
    drop(inner_scope);
    allocate(8);
    // Stops `two` after its scope.
    one.stop();
    let after = call!("after");
    allocate(16);
    after.stop();
    drop(outer_scope);
    assert_eq!(
        calls(&outer),
        ["one in -: 3, 3, Ok, partial", "after in -: 16, 16, Ok"]
    );
    assert_eq!(calls(&inner), ["two in -: 6, 6, Ok, partial"]);
    let totals = [&outer, &inner].map(|trace| trace.report().total);
    assert_eq!(totals, [Some(boxes(31)), Some(boxes(6))]);
}

#[test]
fn guards_sorted_and_taken_from_the_middle() {
    let trace = Trace::new();
    let mut guards = Vec::with_capacity(5);
    let scope = trace.inject();
    for name in ["d", "a", "e", "c", "b"] {
        guards.push((name, call!("{name}")));
        allocate(1);
    }
    guards.sort_unstable_by_key(|(name, _)| *name);
    // "a", opened second, stops first, and so on.
    for (name, guard) in guards.drain(..) {
        drop(guard);
        allocate(10 * u64::from(name.as_bytes()[0] - b'a' + 1));
    }
    drop(scope);
    assert_eq!(
        calls(&trace),
        [
            // Stops fourth: 5 blocks while opening, then 10 + 20 + 30.
            "d in -: 65, 1, Ok",
            "a in d: 4, 1, Ok",
            // The innermost open call while "c" and "d" stop.
            "e in a: 103, 71, Ok",
            "c in e: 32, 21, Ok",
            "b in c: 11, 11, Ok",
        ]
    );
    assert_eq!(trace.report().total, Some(boxes(155)));
}

#[test]
fn a_struct_drops_its_guard_among_its_fields() {
    struct Session {
        _first: OnDrop<fn()>,
        _call: Call,
        _last: OnDrop<fn()>,
    }
    impl Drop for Session {
        fn drop(&mut self) {
            let _call = call!("closing");
            allocate(1);
        }
    }
    let trace = Trace::new();
    let scope = trace.inject();
    let around = call!("around");
    let session = Session {
        _first: OnDrop(|| allocate(2)),
        _call: call!("session"),
        _last: OnDrop(|| allocate(4)),
    };
    allocate(8);
    drop(session);
    around.stop();
    drop(scope);
    assert_eq!(
        calls(&trace),
        [
            "around in -: 15, 4, Ok",
            "session in around: 11, 10, Ok",
            "closing in session: 1, 1, Ok",
        ]
    );
}

#[test]
fn a_guard_in_a_cycle_that_is_never_freed() {
    struct Node {
        _call: Call,
        me: RefCell<Option<std::rc::Rc<Node>>>,
    }
    let trace = Trace::new();
    let scope = trace.inject();
    let around = call!("around");
    let node = std::rc::Rc::new(Node {
        _call: call!("kept"),
        me: RefCell::new(None),
    });
    *node.me.borrow_mut() = Some(std::rc::Rc::clone(&node));
    drop(node);
    call!("after").stop();
    around.stop();
    drop(scope);
    assert_eq!(
        outcomes(&trace),
        [
            "around in -: Ok",
            "kept in around: Running",
            "after in kept: Ok"
        ]
    );
}

#[test]
fn a_guard_stopped_within_the_scope_of_another_trace() {
    let (outer, inner) = (Trace::new(), Trace::new());
    let outer_scope = outer.inject();
    let around = call!("around");
    let call = call!("call");
    allocate(1);
    let inner_scope = inner.inject();
    allocate(2);
    call.stop();
    let inside = call!("inside");
    allocate(4);
    inside.stop();
    drop(inner_scope);
    let after = call!("after");
    allocate(8);
    after.stop();
    around.stop();
    drop(outer_scope);
    let lines = calls(&outer);
    assert_eq!(
        [
            &*lines[0],
            lines[1].trim_end_matches(", partial"),
            &*lines[2]
        ],
        [
            "around in -: 15, 4, Ok",
            "call in around: 3, 3, Ok",
            "after in around: 8, 8, Ok"
        ]
    );
    assert_eq!(calls(&inner), ["inside in -: 4, 4, Ok"]);
}
