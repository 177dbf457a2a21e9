//! A panic dumps the requests in flight to standard error.

use std::time::Duration;

use tracer::call;
use tracer::recorder::{Policy, Recorder};

use super::alone;

pub(crate) fn what_is_in_flight_is_dumped_at_a_panic() {
    let mut child = alone("panic_hook::panics_with_requests_in_flight");
    let output = child.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stderr).expect("UTF-8");
    let lines: Vec<_> = text
        .lines()
        .map(|line| line.split(": ").next().unwrap())
        .collect();
    assert_eq!(
        lines,
        [
            "before",
            "before",
            "2 requests in flight",
            "GET /slow [1]",
            "\tcall panics_with_requests_in_flight",
            "\t\tcheckpoint [half]",
            "panicking",
            "\tcall panics",
            "before",
            "before",
            "no recorder is left",
        ],
        "{text}"
    );
}

/// A request that panics, on a thread of its own.
fn panics(recorder: &Recorder) {
    let recorder = recorder.clone();
    let joined = std::thread::spawn(move || {
        let mut recording = recorder.begin("POST /panics");
        recording.id(2);
        let _scope = recording.inject();
        let _call = call!();
        panic!("at the disco");
    });
    assert!(joined.join().is_err());
}

/// Two requests are in flight when one panics.
pub(crate) fn panics_with_requests_in_flight() {
    std::panic::set_hook(Box::new(|_| eprintln!("before")));
    let recorder = Recorder::builder()
        .policy(Policy::none().panicked())
        .start()
        .expect("a thread");
    panics(&recorder);
    recorder.dump_on_panic();
    // A second call changes nothing.
    recorder.dump_on_panic();
    let mut slow = recorder.begin("GET /slow");
    slow.id(1);
    let scope = slow.inject();
    let call = call!();
    call.checkpoint("half");
    panics(&recorder);
    // Not dumped: at most one dump per second.
    panics(&recorder);
    drop((call, scope, slow));
    assert_eq!(recorder.statistics().ended, 4);
    assert!(recorder.flush(Duration::from_secs(5)));
    // Dumping is not counted in any request.
    let counts = |report: &std::sync::Arc<tracer::Report>| report.calls[0].total;
    let kept = recorder.kept();
    assert_eq!(kept.len(), 3);
    assert!(kept.iter().all(|it| counts(it) == counts(&kept[2])));
    drop(recorder);
    assert!(std::panic::catch_unwind(|| panic!("again")).is_err());
    eprintln!("no recorder is left");
}
