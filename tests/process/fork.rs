//! A fork while other threads trace and report: both processes continue, and their figures are exact.
//!
//! Only the thread that forks exists in the child. Operations of the other threads stay half done there
//! for ever, and must not block the child.

use std::hint::black_box;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, exit};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fork::Fork;
use tracer::alloc::{Budget, Sites};
use tracer::{Call, Scope, Trace, call};

use super::common::allocate;
use super::lines::{calls, calls_of};
use super::on_drop::OnDrop;

// Under AddressSanitizer, a fork takes a hundred times as long.
const FORKS: u64 = if cfg!(asan) { 20 } else { 200 };
/// A child that takes longer is blocked: its work takes a millisecond.
const BOUND: Duration = Duration::from_secs(10);

pub(crate) fn others_trace() {
    forks(|number| drop(trace_something(number)), |_| ());
}

/// A report takes locks.
pub(crate) fn others_report() {
    forks(
        |number| {
            let trace = trace_something(number);
            assert_eq!(calls(&trace).len(), 3);
            let _ = (trace.to_string(), format!("{trace:#}"));
        },
        |_| (),
    );
}

/// The tables for walking stacks are under a lock.
pub(crate) fn others_record_sites() {
    let work = |number| {
        let trace = Trace::builder().sites(Sites::exact()).build();
        let scope = trace.inject();
        let call = call!();
        allocate(number + 1);
        call.stop();
        drop(scope);
        let report = trace.report();
        let sites = report.calls[0].sites.as_ref().unwrap();
        assert_eq!((sites.len(), sites[0].allocations), (1, number + 1));
    };
    forks(work, |_| ());
}

/// The table of live blocks is under locks, which every thread takes while any follows blocks.
pub(crate) fn others_follow_blocks() {
    forks(|number| assert_eq!(balance(number, 0), Ok(())), |_| ());
}

/// Checks a balanced budget of code that leaks.
fn balance(freed: u64, leaked: usize) -> Result<(), String> {
    let checked = Budget::balanced().waits(Duration::ZERO).check(|| {
        allocate(freed);
        std::mem::forget(black_box(vec![0_u8; leaked]));
    });
    checked.map_err(|it| it.brief())
}

/// A checkpoint set by another thread waits in the strand's list, under its lock. The strand is open in
/// the child.
pub(crate) fn others_set_checkpoints() {
    static AROUND: Mutex<Option<Arc<Call>>> = Mutex::new(None);
    let set = |_| {
        let around = AROUND.lock().unwrap().clone();
        if let Some(around) = around {
            around.checkpoint("remote");
        }
    };
    forks(set, |open| {
        let before = AROUND.lock().unwrap().replace(Arc::clone(&open.around));
        // Excluded, because it happens inside the open calls.
        tracer::alloc::exclude(|| drop(before));
    });
    *AROUND.lock().unwrap() = None;
}

/// It has the parent's seed, and its traces have the same numbers.
pub(crate) fn a_childs_traces_have_ids_of_their_own() {
    let before = Trace::new();
    let ids = || {
        let trace = Trace::new();
        let ids = [before.trace_id(), trace.trace_id()].map(Option::unwrap);
        format!("{} {} {}", trace.id(), ids[0], ids[1])
    };
    for _ in 0..FORKS {
        let (mut here, mut there) = UnixStream::pair().unwrap();
        if let Fork::Child = fork::fork().unwrap() {
            let told = there.write_all(ids().as_bytes());
            exit(i32::from(told.is_err()));
        }
        drop(there);
        let (parents, mut childs) = (ids(), String::new());
        here.read_to_string(&mut childs).unwrap();
        let parts = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let (parents, childs) = (parts(&parents), parts(&childs));
        assert_eq!(parents[..2], childs[..2]);
        assert_ne!(parents[2], childs[2]);
    }
}

/// Forks `FORKS` times while three other threads run `busy`. Calls `show` before each fork.
fn forks(busy: impl Fn(u64) + Sync, show: impl Fn(&Open)) {
    let done = AtomicBool::new(false);
    std::thread::scope(|threads| {
        // Also on a panic: the scope waits for the threads.
        let _ends = OnDrop(|| done.store(true, Relaxed));
        for number in 0..3 {
            let (busy, done) = (&busy, &done);
            threads.spawn(move || {
                // Behind the thread that forks and the child, which else would mostly wait for a processor.
                let _ = rustix::process::nice(10);
                while !done.load(Relaxed) {
                    busy(number);
                }
            });
        }
        for round in 0..FORKS {
            fork_inside_calls(round, &show);
        }
    });
}

fn trace_something(number: u64) -> Trace {
    let trace = Trace::new();
    let scope = trace.inject();
    let call = call!("of another thread");
    allocate(number);
    call!("{number:100}", number = number).stop();
    let late = call!("late");
    call.stop();
    drop(scope);
    late.checkpoint("remote");
    drop(late);
    trace
}

/// The open traces and calls at the fork.
struct Open {
    trace: Trace,
    other: Trace,
    scope: Scope,
    around: Arc<Call>,
    inside: Call,
    other_scope: Scope,
    in_other: Call,
}

impl Open {
    fn new(round: u64) -> Self {
        let with_sites = || Trace::builder().sites(Sites::exact()).build();
        let make = if round.is_multiple_of(2) {
            Trace::new
        } else {
            with_sites
        };
        let (trace, other) = (make(), make());
        let scope = trace.inject();
        let around = Arc::new(call!("around"));
        allocate(round);
        let inside = call!("inside");
        allocate(1);
        let other_scope = other.inject();
        let in_other = call!("in other");
        allocate(2);
        Self {
            trace,
            other,
            scope,
            around,
            inside,
            other_scope,
            in_other,
        }
    }
}

fn fork_inside_calls(round: u64, show: &impl Fn(&Open)) {
    let (here, mut there) = UnixStream::pair().unwrap();
    here.set_read_timeout(Some(BOUND)).unwrap();
    let open = Open::new(round);
    show(&open);
    match fork::fork().unwrap() {
        Fork::Child => {
            // Unwinding into the scope would wait for threads that don't exist here.
            let child = AssertUnwindSafe(|| in_child(open, round, &mut there));
            exit(i32::from(catch_unwind(child).is_err()));
        }
        Fork::Parent(child) => {
            drop(there);
            go_on(open, round, 4);
            let printed = await_child(child, here, round);
            assert!(printed.ends_with("\n\tcall child: done\n"), "{printed}");
        }
    }
}

/// Waits for a child that succeeds, and returns what it has told. One that takes longer than `here` waits for it is
/// blocked: it is killed, and the test fails.
pub(crate) fn await_child(child: i32, mut here: UnixStream, round: u64) -> String {
    let mut told = String::new();
    if let Err(error) = here.read_to_string(&mut told) {
        println!("round {round}, child {child}: {error}; it told {told:?}");
        // A blocked child would keep this test's output open.
        let _ = Command::new("kill")
            .args(["-9", &child.to_string()])
            .status();
        exit(1);
    }
    assert_eq!(fork::waitpid(child).unwrap(), 0, "round {round}: {told}");
    told
}

fn in_child(open: Open, round: u64, parent: &mut UnixStream) {
    let trace = go_on(open, round, 1000);
    write!(parent, "{trace}").unwrap();
    let next = Trace::builder().sites(Sites::exact()).build();
    let scope = next.inject();
    let call = call!("child");
    let here = tracer::fetch();
    // The child may start threads of its own.
    let thread = std::thread::spawn(move || {
        allocate(0);
        let _scope = here.inject();
        let _call = call!("below");
        allocate(5);
    });
    thread.join().unwrap();
    call.stop();
    drop(scope);
    let report = next.report();
    assert_eq!(calls_of(&report)[1], "below in child: 5, 5, Ok");
    assert!(!report.calls[0].partial);
    let sites = report.calls[1].sites.as_ref().unwrap();
    assert_eq!((sites.len(), sites[0].allocations), (1, 5));
    // A lock that another thread had at the fork is never unlocked.
    let unknown = Err("kept bytes not known, exactly 0".to_owned());
    let balanced = balance(5, 0);
    assert!(
        [Ok(()), unknown.clone()].contains(&balanced),
        "{balanced:?}"
    );
    let leaked = balance(5, 7);
    let known = Err("kept bytes 7, exactly 0".to_owned());
    assert!([known, unknown].contains(&leaked), "{leaked:?}");
    writeln!(parent, "\n\tcall child: done").unwrap();
}

/// Stops the open calls, and checks the reports.
fn go_on(open: Open, round: u64, more: u64) -> Trace {
    allocate(more);
    open.in_other.stop();
    drop(open.other_scope);
    open.inside.stop();
    let after = call!("after");
    allocate(more);
    after.stop();
    drop(open.around);
    drop(open.scope);
    let report = open.trace.report();
    let inside = 3 + more;
    let after = &calls_of(&report)[1..];
    assert_eq!(
        after,
        [
            format!("inside in around: {inside}, {inside}, Ok"),
            format!("after in around: {more}, {more}, Ok"),
        ]
    );
    assert_eq!(
        calls(&open.other),
        [format!("in other in -: {0}, {0}, Ok", 2 + more)]
    );
    let all = round + 3 + 2 * more;
    // One more is the block of the `Arc`, which is freed later.
    assert_eq!(report.total.unwrap().allocations, all + 1);
    open.trace
}
