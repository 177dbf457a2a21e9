//! Requests that get a name after their beginning.

use tracer::recorder::{Policy, Recorder};

use crate::{kept, recorder, request};

/// Returns each name with the numbers of its requests in flight, ended and kept.
fn by_name(recorder: &Recorder) -> Vec<(String, u64, u64, u64)> {
    let routes = recorder.routes().into_iter();
    routes
        .map(|it| (it.name, it.in_flight, it.ended, it.kept))
        .collect()
}

#[test]
fn a_request_that_is_named_later_is_of_its_last_name_everywhere() {
    let recorder = recorder(Policy::none().failed());
    let named = |name: &str, (in_flight, ended, kept)| (name.to_owned(), in_flight, ended, kept);
    let mut first = recorder.begin("(not parsed)");
    let mut second = recorder.begin("(not parsed)");
    first.id("a7");
    assert_eq!(by_name(&recorder), [named("(not parsed)", (2, 0, 0))]);

    first.name("GET /orders");
    first.name("GET /orders");
    let both = [
        named("(not parsed)", (1, 0, 0)),
        named("GET /orders", (1, 0, 0)),
    ];
    assert_eq!(by_name(&recorder), both);
    assert_eq!(
        (first.current_name(), second.current_name()),
        ("GET /orders", "(not parsed)")
    );
    let in_flight: Vec<_> = recorder
        .in_flight()
        .into_iter()
        .map(|it| (it.name, it.id))
        .collect();
    let id = |id: &str| Some(id.to_owned());
    let expected = [
        ("GET /orders".to_owned(), id("a7")),
        ("(not parsed)".to_owned(), None),
    ];
    assert_eq!(in_flight, expected);

    // The last name counts, also on another thread.
    std::thread::scope(|threads| {
        threads.spawn(|| {
            second.name("GET /users");
            second.name("GET /orders");
            second.fail("no such order");
            drop(second);
        });
    });
    drop(first);
    assert_eq!(by_name(&recorder), [named("GET /orders", (0, 2, 1))]);
    let kept = kept(&recorder);
    assert_eq!((kept.len(), &*request(&kept[0]).name), (1, "GET /orders"));
    let statistics = recorder.statistics();
    assert_eq!((statistics.in_flight, statistics.ended), (0, 2));
}

#[test]
fn requests_are_named_by_many_threads_and_none_is_lost() {
    let recorder = recorder(Policy::none());
    let names = ["a", "b", "c", "d"];
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                for number in 0..10_000 {
                    let mut recording = recorder.begin("(not parsed)");
                    recording.name(names[number % 3]);
                    recording.name(names[number % 4]);
                }
            });
        }
    });
    let each = names.map(|name| (name.to_owned(), 0, 10_000, 0));
    assert_eq!(by_name(&recorder), each);
}

#[test]
fn a_name_too_many_given_later_is_one_of_the_others() {
    let recorder = Recorder::builder()
        .policy(Policy::none())
        .names(1)
        .start()
        .unwrap();
    let mut recording = recorder.begin("first");
    recording.name(&"n".repeat(1000));
    assert_eq!(recording.current_name(), "(other)");
    drop(recording);
    assert_eq!(by_name(&recorder), [("(other)".to_owned(), 0, 1, 0)]);
}
