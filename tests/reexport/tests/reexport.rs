//! `#[traced]`, `#[budget]` and `call!`, with the crate reached by a re-export only.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use tracer_reexport::requests::budget::{OnExceeded, exceeded, on_exceeded};
use tracer_reexport::requests::{Counting, Outcome, Report, Trace, budget, call, traced};
use tracer_reexport::{requests, watched};

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();

#[derive(Debug)]
struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("refused")
    }
}

impl Error for Refused {}

fn allocate(times: u32) {
    (0..times).for_each(|number| drop(black_box(Box::new(number))));
}

/// Returns the output of a future that is ready at its first poll.
fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("not ready"),
    }
}

fn recorded(work: impl FnOnce()) -> Report {
    let trace = Trace::new();
    let scope = trace.inject();
    work();
    drop(scope);
    trace.report()
}

/// Returns each call with its id, its labels, its outcome and its checkpoints.
fn lines(report: &Report) -> Vec<String> {
    let line = |call: &requests::CallReport| {
        let mut parts = vec![call.name.to_string()];
        parts.extend(call.id.iter().map(|id| format!("[{id}]")));
        let labels = call.labels.iter();
        parts.extend(labels.map(|(name, value)| format!("{name}={value}")));
        parts.extend(match &call.outcome {
            Outcome::Ok => None,
            other => Some(format!("{other:?}")),
        });
        parts.extend(call.checkpoints.iter().map(|it| it.name.to_string()));
        parts.join(" ")
    };
    report.calls.iter().map(line).collect()
}

#[traced(crate = requests, "{id}", rows = id + 1)]
fn sync(id: u32) {
    let _inner = call!("{}", id, inner = true);
}

#[traced(crate = tracer_reexport::requests, err, "{id}")]
fn fallible(id: u32) -> Result<(), Refused> {
    if id == 0 { Err(Refused) } else { Ok(()) }
}

#[traced(name = "renamed", err(Debug), crate = ::tracer_reexport::requests)]
async fn asynchronous() -> Result<(), Refused> {
    Err(Refused)
}

#[traced("{id}", crate = requests)]
fn boxed(id: u32) -> Pin<Box<dyn Future<Output = ()>>> {
    Box::pin(async move {
        allocate(id);
    })
}

#[test]
fn calls_are_opened_by_the_path_of_the_re_export() {
    let report = recorded(|| {
        sync(1);
        fallible(0).unwrap_err();
        fallible(1).unwrap();
        ready(asynchronous()).unwrap_err();
        ready(boxed(2));
    });
    let expected = [
        "sync [1] rows=2",
        "sync [1] inner=true",
        "fallible [0] Failed(\"refused\")",
        "fallible [1]",
        "renamed Failed(\"Refused\")",
        "boxed [2]",
    ];
    assert_eq!(lines(&report), expected);
}

#[budget(crate = requests, allocations <= 1)]
fn alone(times: u32) {
    allocate(times);
}

#[budget(allocations <= 1, crate = requests)]
async fn alone_asynchronous(times: u32) {
    allocate(times);
}

#[traced(crate = requests, "{times}")]
#[budget(crate = requests, allocations <= u64::from(times) - 1)]
fn traced_first(times: u32) {
    allocate(times);
}

#[budget(crate = requests, allocations <= 1)]
#[traced(crate = requests, "{times}")]
fn budget_first(times: u32) {
    allocate(times);
}

#[traced(crate = requests, "{times}")]
#[budget(crate = requests, allocations <= 1)]
async fn traced_first_asynchronous(times: u32) {
    allocate(times);
}

#[budget(crate = requests, allocations <= u64::from(times) - 1)]
#[requests::traced("{times}", crate = requests)]
async fn budget_first_asynchronous(times: u32) {
    allocate(times);
}

watched! {
    fn by_a_macro(times: u32) {
        allocate(times);
    }
}

watched! {
    async fn by_a_macro_asynchronous(times: u32) {
        allocate(times);
    }
}

#[test]
fn budgets_are_checked_by_the_path_of_the_re_export() {
    on_exceeded(OnExceeded::Mark);
    let report = recorded(|| {
        alone(2);
        ready(alone_asynchronous(2));
        traced_first(2);
        budget_first(2);
        ready(traced_first_asynchronous(2));
        ready(budget_first_asynchronous(2));
        by_a_macro(2);
        ready(by_a_macro_asynchronous(2));
    });
    let over = " over budget: allocations 2, at most 1";
    let expected = [
        "alone",
        "alone_asynchronous",
        "traced_first [2]",
        "budget_first [2]",
        "traced_first_asynchronous [2]",
        "budget_first_asynchronous [2]",
        "by_a_macro",
        "by_a_macro_asynchronous",
    ];
    assert_eq!(lines(&report), expected.map(|call| call.to_owned() + over));
    assert_eq!(exceeded(), 8);
}

/// A user's own module that re-exports all of the crate.
mod prelude {
    pub(crate) use tracer_reexport::requests::*;
}

mod user {
    #[crate::prelude::traced(crate = crate::prelude)]
    pub(super) fn by_a_module() {
        let _call = crate::prelude::call!();
    }

    #[super::prelude::budget(crate = super::prelude, allocations <= 0)]
    pub(super) async fn by_a_module_above() {}
}

#[test]
fn a_module_may_stand_for_the_crate() {
    let report = recorded(|| {
        user::by_a_module();
        ready(user::by_a_module_above());
    });
    let expected = ["by_a_module", "by_a_module", "by_a_module_above"];
    assert_eq!(lines(&report), expected);
}
