//! What the tests of this package share.

use std::fmt::Write as _;
use std::hint::black_box;
use std::net::{SocketAddr, TcpListener};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tracer::recorder::{Policy, Recorder};
use tracer::{CallReport, Counting, Outcome, Report};
use tracing::{Dispatch, dispatcher};

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();

const PATIENCE: Duration = Duration::from_secs(20);

/// Returns a runtime of two workers, each with the subscriber.
pub fn workers(dispatch: &Dispatch) -> Runtime {
    let dispatch = dispatch.clone();
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .on_thread_start(move || {
            std::mem::forget(dispatcher::set_default(&dispatch));
        })
        .build()
        .unwrap()
}

/// Runs a future on a worker.
pub fn run<F>(runtime: &Runtime, future: F) -> F::Output
where
    F: Future<Output: Send> + Send + 'static,
{
    runtime.block_on(runtime.spawn(future)).unwrap()
}

/// Returns a listener on a free port.
pub fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Allocates once.
pub fn allocate(bytes: usize) -> Vec<u8> {
    black_box(vec![0; bytes])
}

/// Returns a recorder that keeps all requests.
pub fn keeping_all() -> Recorder {
    let policy = Policy::none().when("all", |_| true);
    Recorder::builder().policy(policy).start().unwrap()
}

/// Waits until this number of requests has ended, and returns their reports, oldest first.
pub fn kept(recorder: &Recorder, requests: u64) -> Vec<Report> {
    let started = Instant::now();
    while recorder.statistics().ended < requests {
        let statistics = recorder.statistics();
        assert!(started.elapsed() < PATIENCE, "{statistics:?}");
        sleep(Duration::from_millis(2));
    }
    assert!(recorder.flush(PATIENCE));
    let kept = recorder.kept();
    kept.iter()
        .rev()
        .map(|report| Report::clone(report))
        .collect()
}

/// Returns the tree of names, ids and outcomes.
pub fn tree(report: &Report) -> String {
    tree_of(report, |_| true)
}

/// Returns the tree of these calls. Those inside others are shown within the next one around.
pub fn tree_of(report: &Report, is_shown: impl Fn(&CallReport) -> bool) -> String {
    let mut shown = String::new();
    add_inside(report, None, 0, &is_shown, &mut shown);
    shown
}

fn add_inside(
    report: &Report,
    parent: Option<usize>,
    depth: usize,
    is_shown: &impl Fn(&CallReport) -> bool,
    shown: &mut String,
) {
    for (index, call) in report.calls.iter().enumerate() {
        if call.parent != parent {
            continue;
        }
        let mut inside = depth;
        if is_shown(call) {
            let id = call
                .id
                .as_ref()
                .map_or_else(String::new, |id| format!(" {id}"));
            let outcome = match &call.outcome {
                Outcome::Ok => String::new(),
                Outcome::Failed(why) => format!(" failed: {why}"),
                other => format!(" {other:?}").to_lowercase(),
            };
            let partial = if call.partial { " partial" } else { "" };
            let indent = "  ".repeat(depth);
            writeln!(shown, "{indent}{}{id}{outcome}{partial}", call.name).unwrap();
            inside += 1;
        }
        add_inside(report, Some(index), inside, is_shown, shown);
    }
}
