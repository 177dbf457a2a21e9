//! Armed routes: their next requests record which lines allocate.

use std::sync::Arc;
use std::thread;

use tracer::alloc::{Counts, Sites};
use tracer::recorder::{Arming, Builder, Policy, Recorder};
use tracer::{Report, call};

use crate::common::allocate;
use crate::figures::check_sums;
use crate::{LONG, PATIENCE, handle, kept, request};

/// A recorder that keeps what is armed only, with one window for the whole test.
fn builder(arming: Arming) -> Builder {
    let builder = Recorder::builder().policy(Policy::none()).window(LONG);
    builder.arm(arming)
}

fn recorder(arming: Arming) -> Recorder {
    builder(arming).start().unwrap()
}

fn run(recorder: &Recorder, name: &str, requests: u64, allocations: u64) {
    for _ in 0..requests {
        recorder.record(name, || {
            let _outer = call!("outer");
            allocate(1);
            handle(allocations - 1);
        });
    }
}

fn progress(recorder: &Recorder, name: &str) -> Option<String> {
    let routes = recorder.routes();
    let route = routes.iter().find(|route| route.name == name).unwrap();
    route.armed.map(|armed| armed.to_string())
}

/// Checks the sums, and that nothing is missing.
fn check_sites(report: &Report) {
    check_sums(report);
    assert_eq!(report.sites_not_recorded, Some(Counts::ZERO));
}

/// Returns the number of allocations of each kept request, the oldest first.
fn allocations(kept: &[Arc<Report>]) -> Vec<u64> {
    let total = |report: &Arc<Report>| report.total.unwrap().allocations;
    kept.iter().map(total).collect()
}

#[test]
fn after_a_heavy_request_the_next_twenty_record_their_lines() {
    let recorder = recorder(Arming::default());
    run(&recorder, "job", 1000, 3);
    assert_eq!(progress(&recorder, "job"), None);
    run(&recorder, "job", 1, 300);
    assert_eq!(progress(&recorder, "job").unwrap(), "armed, 0 of 20");
    run(&recorder, "other", 5, 3);
    run(&recorder, "job", 11, 3);
    run(&recorder, "job", 1, 300);
    assert_eq!(progress(&recorder, "job").unwrap(), "armed, 12 of 20");
    run(&recorder, "job", 30, 3);
    assert_eq!(progress(&recorder, "job"), None);
    let kept = kept(&recorder);
    let mut expected = [3; 20];
    expected[11] = 300;
    assert_eq!(allocations(&kept), expected);
    for report in &kept {
        check_sites(report);
        let request = request(report);
        assert_eq!(
            (&*request.name, &*request.reasons),
            ("job", &["armed".to_owned()][..])
        );
    }
    let statistics = recorder.statistics();
    assert_eq!((statistics.kept, statistics.dropped), (20, 0));
    let arming = statistics.arming;
    assert_eq!((arming.routes, arming.requests), (1, 20));
}

#[test]
fn a_route_is_armed_by_itself_once_in_a_window() {
    let recorder = recorder(Arming::default().requests(2));
    run(&recorder, "job", 100, 3);
    // The third one is beyond the baseline, too.
    run(&recorder, "job", 4, 300);
    assert_eq!(allocations(&kept(&recorder)), [300, 300]);
    let arming = recorder.statistics().arming;
    assert_eq!((arming.routes, arming.requests, arming.too_soon), (1, 2, 1));
    assert!(recorder.arm("job"));
    run(&recorder, "job", 3, 3);
    assert_eq!(allocations(&kept(&recorder)), [300, 300, 3, 3]);
}

#[test]
fn bytes_alone_arm_a_route() {
    let recorder = recorder(Arming::default().requests(1));
    let allocate = |bytes: usize| {
        recorder.record("job", || drop(std::hint::black_box(vec![0_u8; bytes])));
    };
    (0..20).for_each(|_| allocate(1000));
    allocate(1999);
    assert_eq!(progress(&recorder, "job"), None);
    allocate(2000);
    assert_eq!(progress(&recorder, "job").unwrap(), "armed, 0 of 1");
}

#[test]
fn nothing_is_armed_before_there_is_a_baseline() {
    for (requests, is_armed) in [(19, false), (20, true)] {
        let recorder = recorder(Arming::default());
        run(&recorder, "job", requests, 3);
        run(&recorder, "job", 1, 300);
        run(&recorder, "job", 1, 3);
        assert_eq!(kept(&recorder).len(), usize::from(is_armed), "{requests}");
    }
}

#[test]
fn the_percentile_is_a_setting() {
    for (percentile, armed) in [(99, None), (90, Some("armed, 0 of 20"))] {
        let recorder = recorder(Arming::default().above(percentile));
        run(&recorder, "job", 18, 10);
        run(&recorder, "job", 2, 30);
        run(&recorder, "job", 1, 19);
        assert_eq!(
            progress(&recorder, "job"),
            None,
            "less than twice the median"
        );
        run(&recorder, "job", 1, 25);
        assert_eq!(progress(&recorder, "job").as_deref(), armed);
    }
}

#[test]
fn without_a_setting_routes_are_armed_by_hand_only() {
    let recorder = Recorder::builder().policy(Policy::none());
    let recorder = recorder.sites(Sites::sampled(u64::MAX)).start().unwrap();
    run(&recorder, "job", 100, 3);
    run(&recorder, "job", 10, 300);
    assert_eq!(recorder.statistics().arming.routes, 0);
    assert!(recorder.arm("job") && recorder.arm("not seen yet"));
    run(&recorder, "job", 3, 3);
    assert!(recorder.arm("job"), "it begins again");
    run(&recorder, "job", 30, 3);
    run(&recorder, "not seen yet", 1, 3);
    let kept = kept(&recorder);
    assert_eq!(allocations(&kept), [3; 24]);
    // Exact ones, though the others are sampled.
    for report in &kept {
        check_sites(report);
    }
    let arming = recorder.statistics().arming;
    assert_eq!((arming.routes, arming.requests), (2, 24));
}

#[test]
fn so_many_routes_are_armed_at_a_time() {
    let recorder = recorder(Arming::default().routes(2).requests(3));
    run(&recorder, "c", 100, 3);
    let armed = ["a", "b", "c"].map(|name| recorder.arm(name));
    assert_eq!(armed, [true, true, false]);
    run(&recorder, "c", 2, 300);
    assert_eq!(recorder.statistics().arming.too_many_routes, 3);
    run(&recorder, "a", 2, 3);
    assert!(!recorder.arm("c"));
    run(&recorder, "a", 1, 3);
    run(&recorder, "c", 1, 300);
    assert_eq!(progress(&recorder, "c").unwrap(), "armed, 0 of 3");
    let arming = recorder.statistics().arming;
    assert_eq!((arming.routes, arming.too_many_routes), (3, 4));
    assert_eq!(allocations(&kept(&recorder)), [3; 3]);
}

#[test]
fn so_many_requests_record_their_lines_in_a_minute() {
    let recorder = recorder(Arming::by_hand().requests_per_minute(5));
    assert!(recorder.arm("a") && recorder.arm("b"));
    run(&recorder, "a", 3, 3);
    run(&recorder, "b", 3, 3);
    run(&recorder, "a", 5, 3);
    let kept = kept(&recorder);
    let names: Vec<_> = kept.iter().map(|report| &*request(report).name).collect();
    assert_eq!(names, ["a", "a", "a", "b", "b"]);
    let arming = recorder.statistics().arming;
    assert_eq!((arming.requests, arming.too_many_requests), (5, 6));
    // They wait for the next minute.
    assert_eq!(progress(&recorder, "a").unwrap(), "armed, 3 of 20");
}

#[test]
fn limits_of_none_arm_nothing() {
    for arming in [
        Arming::default().requests(0),
        Arming::default().routes(0),
        Arming::default().requests_per_minute(0),
    ] {
        let recorder = recorder(arming);
        run(&recorder, "job", 100, 3);
        run(&recorder, "job", 2, 300);
        recorder.arm("job");
        run(&recorder, "job", 2, 3);
        assert_eq!(kept(&recorder).len(), 0, "{arming:?}");
        assert_eq!(recorder.statistics().arming.requests, 0, "{arming:?}");
    }
}

#[test]
fn a_name_must_be_known_before_the_request_runs() {
    let recorder = recorder(Arming::by_hand());
    assert!(recorder.arm("job"));
    let mut in_time = recorder.begin("(not parsed)");
    in_time.name("job");
    let scope = in_time.inject();
    handle(3);
    // A later name changes nothing.
    in_time.name("work");
    drop((scope, in_time));
    let mut late = recorder.begin("(not parsed)");
    let scope = late.inject();
    handle(3);
    late.name("job");
    drop((scope, late));
    let kept = kept(&recorder);
    assert_eq!(kept.len(), 1);
    check_sites(&kept[0]);
    assert_eq!(request(&kept[0]).name, "work");
    let arming = recorder.statistics().arming;
    assert_eq!((arming.requests, arming.too_late), (1, 1));
    assert_eq!(progress(&recorder, "job").unwrap(), "armed, 1 of 20");
}

#[test]
fn other_reasons_stand_before_it() {
    let policy = Policy::none().failed();
    let builder = Recorder::builder().policy(policy);
    let recorder = builder.arm(Arming::by_hand()).start().unwrap();
    assert!(recorder.arm("job"));
    let mut request = recorder.begin("job");
    request.fail("broken pipe");
    drop(request);
    let kept = kept(&recorder);
    assert!(
        kept[0].to_string().contains(" · kept: failed, armed\n"),
        "{}",
        kept[0]
    );
}

#[test]
fn threads_never_record_more_than_are_armed() {
    const THREADS: usize = 8;
    let recorder = recorder(Arming::default().requests_per_minute(1000));
    run(&recorder, "job", 100, 3);
    for round in 1..=5 {
        if round > 1 {
            assert!(recorder.arm("job"));
        }
        thread::scope(|scope| {
            for _ in 0..THREADS {
                // In the first round these arm the route, all at once.
                scope.spawn(|| run(&recorder, "job", 100, if round == 1 { 300 } else { 3 }));
            }
        });
        assert!(recorder.flush(PATIENCE));
        let statistics = recorder.statistics();
        let arming = statistics.arming;
        assert_eq!((arming.routes, arming.requests), (round, 20 * round));
        assert_eq!(statistics.kept + statistics.dropped, 20 * round);
        assert_eq!(progress(&recorder, "job"), None);
    }
    for report in kept(&recorder) {
        check_sites(&report);
    }
}

#[test]
fn threads_never_record_more_than_are_allowed_in_a_minute() {
    let recorder = recorder(Arming::by_hand().requests(1000).requests_per_minute(50));
    assert!(recorder.arm("job"));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| run(&recorder, "job", 50, 3));
        }
    });
    assert!(recorder.flush(PATIENCE));
    let arming = recorder.statistics().arming;
    assert!(arming.requests <= 50, "{arming:?}");
    assert_eq!(arming.requests + arming.too_many_requests, 400);
    assert_eq!(
        progress(&recorder, "job").unwrap(),
        format!("armed, {} of 1000", arming.requests)
    );
}
