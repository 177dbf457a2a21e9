//! `#[traced]`: a function behaves as it does without the attribute, and its calls are recorded.

#![expect(
    clippy::boxed_local,
    clippy::let_and_return,
    clippy::semicolon_if_nothing_returned,
    clippy::trivially_copy_pass_by_ref,
    clippy::unused_self,
    reason = "functions of every shape that one may trace"
)]

mod asynchronous;
mod boxed;
mod drop_order;
mod err;
mod hygiene;
mod labels;
mod lints;
mod methods;
mod sync;

use std::fmt::{self, Display, Write as _};
use std::future::Future;

use tracer::{Outcome, Report, Trace};

/// Runs `work` with a trace; returns its value and the report.
fn record<T>(work: impl FnOnce() -> T) -> (T, Report) {
    let trace = Trace::new();
    let value = {
        let _scope = trace.inject();
        work()
    };
    (value, trace.report())
}

/// Runs a future with a trace; returns its value and the report.
fn record_async<T>(future: impl Future<Output = T>) -> (T, Report) {
    let trace = Trace::new();
    let value = block_on(trace.instrument(future));
    (value, trace.report())
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

/// The report as lines of `name [id] {label: value} < parent`, with the outcome if it is not ok.
fn lines(report: &Report) -> Vec<String> {
    report
        .calls
        .iter()
        .map(|call| {
            let mut line = call.name.to_string();
            if let Some(id) = &call.id {
                let _ = write!(line, " [{id}]");
            }
            for (label, value) in &call.labels {
                let _ = write!(line, " {label}={value}");
            }
            if let Some(parent) = call.parent {
                let _ = write!(line, " < {}", report.calls[parent].name);
            }
            if call.outcome != Outcome::Ok {
                let _ = write!(line, ": {:?}", call.outcome);
            }
            line
        })
        .collect()
}

#[derive(Debug, PartialEq)]
struct Refused(u32);

impl Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused {}", self.0)
    }
}

impl std::error::Error for Refused {}
