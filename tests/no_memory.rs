//! A process that runs out of memory while it traces: what can't be recorded is not, and nothing
//! panics or aborts.

#[expect(dead_code, reason = "not all of it is for this file")]
mod common;

use std::process::Command;

use common::{allocate, boxes};
use tracer::{Counting, Limits, Trace, call, memory};

#[global_allocator]
static A: Counting = Counting::system();

/// More calls than there is memory for: with their checkpoints they would take 256 MB.
const CALLS: u32 = 1_000_000;

fn main() {
    if std::env::args().nth(1).as_deref() == Some("without") {
        return without_memory();
    }
    let me = std::env::current_exe().unwrap();
    let script = r#"ulimit -v 150000 && exec "$0" without"#;
    let status = Command::new("sh").args(["-c", script]).arg(me).status();
    assert!(status.unwrap().success());
}

fn without_memory() {
    // For the report in the end, as the tracer keeps what it has got.
    let reserve = vec![1_u8; 10 << 20];
    let limits = Limits::default().calls(usize::MAX);
    let trace = Trace::with_limits(10, limits);
    let scope = trace.inject();
    let around = call!("around");
    let mut recorded = 0;
    for _ in 0..CALLS {
        let call = call!();
        recorded += u32::from(call.is_recorded());
        call.checkpoint("checkpoint");
    }
    assert!(0 < recorded && recorded < CALLS, "{recorded}");
    let held = memory().held_bytes;
    assert!(held > 50_000_000, "{held}");
    // Without memory, a trace is an empty one; others go on.
    let others = [(); 20].map(|()| Trace::new());
    let scopes = others.each_ref().map(Trace::inject);
    call!().stop();
    drop((scopes, others));
    around.stop();
    drop(scope);
    drop(trace);

    // There is room again.
    drop(reserve);
    let trace = Trace::new();
    let scope = trace.inject();
    let call = call!();
    allocate(3);
    call.stop();
    drop(scope);
    let report = trace.report();
    assert_eq!(report.calls[0].total, Some(boxes(3)));
    // For the strand and the trace at most: the records are those of before.
    assert!(memory().held_bytes - held < 4096);
}
