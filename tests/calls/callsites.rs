//! Callsites made at run time, by code that opens calls for other code.

use std::sync::Barrier;

use tracer::alloc::{Counts, measure};
use tracer::{Call, Callsite, Limits, NewCallsite, Report, Trace};

use crate::common::allocate;

fn record(work: impl FnOnce()) -> Report {
    let trace = Trace::new();
    let scope = trace.inject();
    work();
    drop(scope);
    trace.report()
}

/// The data that some framework has for each handler.
struct Handler {
    name: &'static str,
    line: u32,
}

fn callsite(handler: &'static Handler) -> &'static Callsite {
    Callsite::interned_for(handler).unwrap_or_else(|| {
        let new = NewCallsite {
            name: handler.name,
            module: "shop::handlers",
            file: "shop/handlers.rs",
            line: handler.line,
            labels: &["user", "rows"],
            has_id: true,
        };
        new.intern_for(handler)
    })
}

/// Returns each call's place, id and labels.
fn told(report: &Report) -> Vec<String> {
    let calls = report.calls.iter().map(|call| {
        format!(
            "{}::{} {}:{} {:?} {:?}",
            call.module, call.name, call.file, call.line, call.id, call.labels
        )
    });
    calls.collect()
}

#[test]
fn a_call_has_the_name_and_place_that_are_known_at_run_time() {
    static BUY: Handler = Handler {
        name: "buy",
        line: 7,
    };
    let report = record(|| {
        let outer = Call::open(callsite(&BUY));
        allocate(2);
        let labels: [Option<&dyn std::fmt::Display>; 2] = [None, Some(&3)];
        Call::open_with(callsite(&BUY), Some(&"a7"), &labels).stop();
        Call::open_with(callsite(&BUY), None, &[Some(&"ada")]).stop();
        outer.stop();
    });
    let place = "shop::handlers::buy shop/handlers.rs:7";
    let expected = [
        format!("{place} None []"),
        format!(r#"{place} Some("a7") [("rows", "3")]"#),
        format!(r#"{place} None [("user", "ada")]"#),
    ];
    assert_eq!(told(&report), expected);
    assert_eq!(report.calls[1].parent, Some(0));
    assert_eq!(report.calls[0].total.unwrap().allocates(), 2);
}

static PLAIN: Callsite = Callsite::new("plain", "m", "f.rs", 1);
static ONE_ID: Callsite = Callsite::new("one_id", "m", "f.rs", 2).with_id();

#[test]
fn a_static_callsite_takes_the_texts_that_it_has_names_for() {
    let report = record(|| {
        Call::open(&PLAIN).stop();
        Call::open_with(&PLAIN, Some(&"no ids here"), &[Some(&"nor labels")]).stop();
        Call::open(&ONE_ID).stop();
        Call::open_with(&ONE_ID, Some(&""), &[]).stop();
    });
    let expected = [
        "m::plain f.rs:1 None []",
        "m::plain f.rs:1 None []",
        "m::one_id f.rs:2 None []",
        r#"m::one_id f.rs:2 Some("") []"#,
    ];
    assert_eq!(told(&report), expected);
}

#[test]
fn calls_beyond_the_limit_are_added_up_by_callsite() {
    static SELL: Handler = Handler {
        name: "sell",
        line: 9,
    };
    let trace = Trace::with_limits(1, Limits::default().calls(1));
    let scope = trace.inject();
    (0..5).for_each(|_| Call::open(callsite(&SELL)).stop());
    drop(scope);
    let folded = &trace.report().folded[0];
    assert_eq!((&*folded.name, folded.line, folded.calls), ("sell", 9, 4));
}

#[test]
fn threads_that_race_make_one_callsite() {
    static RACE: Handler = Handler {
        name: "race",
        line: 1,
    };
    let start = Barrier::new(4);
    let found = std::thread::scope(|threads| {
        let race = || {
            start.wait();
            std::ptr::from_ref(callsite(&RACE)).addr()
        };
        let threads = [(); 4].map(|()| threads.spawn(race));
        threads.map(|thread| thread.join().unwrap())
    });
    assert_eq!(found, [found[0]; 4]);
}

#[test]
fn a_callsite_that_is_known_costs_no_allocation() {
    static KNOWN: Handler = Handler {
        name: "known",
        line: 1,
    };
    // As in a call, the tracer's own allocations are not counted.
    let first = measure(|| std::ptr::from_ref(callsite(&KNOWN)).addr());
    let again = measure(|| std::ptr::from_ref(callsite(&KNOWN)).addr());
    assert_eq!(first.value, again.value);
    assert_eq!([first.counts, again.counts], [Some(Counts::ZERO); 2]);
}

#[test]
fn statics_of_different_types_at_one_address_are_two() {
    static PAIR: (Handler,) = (Handler {
        name: "inner",
        line: 1,
    },);
    let new = NewCallsite {
        name: "outer",
        ..NewCallsite::default()
    };
    let outer = new.intern_for(&PAIR);
    assert_eq!(callsite(&PAIR.0).name(), "inner");
    assert_eq!(Callsite::interned_for(&PAIR).unwrap().name(), "outer");
    assert_eq!(outer.name(), "outer");
}

#[test]
fn without_a_trace_nothing_is_formatted() {
    struct Never;
    impl std::fmt::Display for Never {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            unreachable!("formatted without a trace")
        }
    }
    let call = Call::open_with(&ONE_ID, Some(&Never), &[]);
    assert!(!call.is_recorded() && !Call::open(&PLAIN).is_recorded());
}
