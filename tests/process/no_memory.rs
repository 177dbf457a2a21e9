//! A process that runs out of memory while it traces: calls that can't be recorded are left out, and
//! nothing panics or aborts.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use tracer::{Call, Limits, Trace, call, memory};

use super::alone_within;
use super::boxes::boxes;
use super::common::allocate;

/// More calls than fit into memory: with their checkpoints they would take 256 MB.
const CALLS: u32 = 1_000_000;

pub(crate) fn what_can_not_be_recorded_is_left_out() {
    let mut without = alone_within("-v 150000", "no_memory::without_memory");
    assert!(without.status().unwrap().success());
}

static HANDED_OVER: Mutex<Option<Call>> = Mutex::new(None);
static IS_OVER: AtomicBool = AtomicBool::new(false);

fn hand_over(call: Call) {
    *HANDED_OVER.lock().unwrap() = Some(call);
    while HANDED_OVER.lock().unwrap().is_some() {
        std::thread::yield_now();
    }
}

/// Stops calls of the other thread. A channel would need memory, so this polls.
fn stop_elsewhere() {
    while !IS_OVER.load(SeqCst) {
        if let Some(call) = &*HANDED_OVER.lock().unwrap() {
            call.checkpoint("elsewhere");
            call.fail("elsewhere");
        }
        drop(HANDED_OVER.lock().unwrap().take());
        std::thread::yield_now();
    }
}

pub(crate) fn without_memory() {
    // Reserved for the report in the end, because the tracer keeps the memory that it has got.
    let reserve = vec![1_u8; 10 << 20];
    let limits = Limits::default().calls(usize::MAX);
    let beyond = Trace::with_limits(10, Limits::default().strands(0));
    drop((beyond.inject(), Trace::new().inject()));
    let elsewhere = std::thread::spawn(stop_elsewhere);
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
    // Even the smallest request fails now.
    for size in [1 << 16, 1 << 10, 256, 64, 16] {
        let mut block = Vec::<u8>::new();
        while block.try_reserve_exact(size).is_ok() {
            std::mem::forget(std::mem::take(&mut block));
        }
    }
    // Operations on calls from other threads, and calls of scopes beyond the limit, are left out
    // and counted.
    for _ in 0..100 {
        hand_over(call!());
        let _scope = beyond.inject();
        let call = call!();
        let _inside = call!();
        hand_over(call);
    }
    IS_OVER.store(true, SeqCst);
    elsewhere.join().unwrap();
    // Without memory, a new trace is an empty one, and the existing ones continue.
    let others = [(); 20].map(|()| Trace::new());
    let scopes = others.each_ref().map(Trace::inject);
    call!().stop();
    drop((scopes, others));
    around.stop();
    drop(scope);
    drop(trace);

    // There is memory again.
    let held = memory().held_bytes;
    drop(reserve);
    let trace = Trace::new();
    let scope = trace.inject();
    let call = call!();
    allocate(3);
    call.stop();
    drop(scope);
    let report = trace.report();
    assert_eq!(report.calls[0].total, Some(boxes(3)));
    // At most for the strand and the trace: records are reused.
    assert!(memory().held_bytes - held < 4096);
}
