//! What is in flight is dumped at a panic: in a process of its own, as it goes to standard error.

use std::process::Command;
use std::time::Duration;

use tracer::recorder::{Policy, Recorder};
use tracer::{Counting, call};

#[global_allocator]
static A: Counting = Counting::system();

const CHILD: &str = "TRACER_PANIC_HOOK_CHILD";

fn main() {
    if std::env::var_os(CHILD).is_some() {
        return child();
    }
    let myself = std::env::current_exe().expect("the path of this test");
    let output = Command::new(myself).env(CHILD, "1").output().expect("runs");
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
            "\tcall child",
            "\t\tcheckpoint [half]",
            "panicking",
            "\tcall panics",
            "before",
            "before",
            "no recorder is left",
        ],
        "{text}"
    );
    println!("what is in flight is dumped at a panic: ok");
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
fn child() {
    std::panic::set_hook(Box::new(|_| eprintln!("before")));
    let recorder = Recorder::builder()
        .policy(Policy::none().panicked())
        .start()
        .expect("a thread");
    panics(&recorder);
    recorder.dump_on_panic();
    // Once is enough.
    recorder.dump_on_panic();
    let mut slow = recorder.begin("GET /slow");
    slow.id(1);
    let scope = slow.inject();
    let call = call!();
    call.checkpoint("half");
    panics(&recorder);
    // No more than one in a second.
    panics(&recorder);
    drop((call, scope, slow));
    assert_eq!(recorder.statistics().ended, 4);
    assert!(recorder.flush(Duration::from_secs(5)));
    // What is dumped is in nobody's figures.
    let counts = |report: &std::sync::Arc<tracer::Report>| report.calls[0].total;
    let kept = recorder.kept();
    assert_eq!(kept.len(), 3);
    assert!(kept.iter().all(|it| counts(it) == counts(&kept[2])));
    drop(recorder);
    assert!(std::panic::catch_unwind(|| panic!("again")).is_err());
    eprintln!("no recorder is left");
}
