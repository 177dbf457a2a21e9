//! The memory of callsites made at run time is bounded.

use tracer::alloc::process;
use tracer::{Call, Callsite, NewCallsite, Trace};

fn own_bytes() -> i64 {
    process().expect("counted").overhead.net_bytes()
}

pub(crate) fn beyond_the_most_all_others_are_one() {
    let known = NewCallsite {
        name: "known",
        ..NewCallsite::default()
    };
    let known_for = Box::leak(Box::new(0_u8));
    let first = [known.intern(), known.intern_for(known_for)];
    let before = own_bytes();
    let other = |callsite: &'static Callsite| callsite.name() == "(other)";
    let label = "l".repeat(1000);
    let with_texts = (0..5_000).map(|number| {
        let name = format!("number {number}: {}", "x".repeat(1000));
        let new = NewCallsite {
            name: &name,
            labels: &[&label],
            ..NewCallsite::default()
        };
        let callsite = if number % 2 == 0 {
            new.intern()
        } else {
            new.intern_for(Box::leak(Box::new(0_u8)))
        };
        let kept = callsite.name();
        let is_cut = kept.len() == 256 && kept.starts_with(&name[..250]) && kept.ends_with('…');
        assert!(is_cut || other(callsite), "{kept}");
        callsite
    });
    // Each takes 512 bytes of 1 MiB; the two "known" ones take a little as well.
    assert_eq!(with_texts.filter(|callsite| !other(callsite)).count(), 2047);
    let without = (0..5_000).map(|_| NewCallsite::default().intern_for(Box::leak(Box::new(0_u8))));
    // 4,096 callsites together.
    assert_eq!(
        without.filter(|callsite| !other(callsite)).count(),
        4096 - 2 - 2047
    );
    let grown = own_bytes() - before;
    assert!((1 << 20..2 << 20).contains(&grown), "{grown}");

    // Callsites made before are still found, and new ones get the callsite "(other)".
    assert!(std::ptr::eq(known.intern(), first[0]));
    let found = Callsite::interned_for(known_for).expect("made before");
    assert!(std::ptr::eq(found, first[1]));
    let trace = Trace::new();
    let scope = trace.inject();
    let new = NewCallsite {
        name: "one more",
        labels: &["label"],
        ..NewCallsite::default()
    };
    Call::open_with(new.intern(), Some(&"id"), &[Some(&"value")]).stop();
    drop(scope);
    let call = &trace.report().calls[0];
    assert_eq!(
        (&*call.name, &call.id, call.labels.len()),
        ("(other)", &None, 0)
    );
}
