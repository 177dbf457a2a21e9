//! `tracer show`: reports, one after the other.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::{self, Write};

use tracer::{Outcome, Report};

use crate::arguments::Show;
use crate::failure::Failure;
use crate::input;
use crate::output::stdout_failed;

pub(crate) fn run(arguments: &Show) -> Result<(), Failure> {
    let reports = input::reports(&arguments.input);
    let mut shown = Shown::default();
    let (most, weight): (_, fn(&Report) -> u128) = match (arguments.slowest, arguments.heaviest) {
        (Some(most), _) => (most, |report| report.elapsed.as_nanos()),
        (_, Some(most)) => (most, |report| {
            report.total.map_or(0, |total| total.bytes_allocated.into())
        }),
        _ => {
            for report in reports {
                let report = report?;
                if !arguments.failed || has_failed(&report) {
                    shown.show(&report, arguments.plain)?;
                }
            }
            return Ok(());
        }
    };
    // Of two of the same weight, the earlier one.
    let mut kept = BTreeMap::new();
    for (number, report) in reports.enumerate() {
        let report = report?;
        kept.insert((Reverse(weight(&report)), number), report);
        if kept.len() > most {
            kept.pop_last();
        }
    }
    let mut kept = kept.values();
    kept.try_for_each(|report| shown.show(report, arguments.plain))
}

fn has_failed(report: &Report) -> bool {
    let calls = report.calls.iter().any(|call| match call.outcome {
        Outcome::Failed(_) | Outcome::Panicked | Outcome::Cancelled => true,
        Outcome::Ok | Outcome::Running => false,
    });
    calls || report.folded.iter().any(|folded| folded.failures > 0)
}

/// What has been shown.
#[derive(Default)]
struct Shown {
    any: bool,
}

impl Shown {
    /// At once, so that it also shows what comes out of a pipe that goes on.
    fn show(&mut self, report: &Report, is_plain: bool) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        let between = if self.any { "\n" } else { "" };
        self.any = true;
        let written = if is_plain {
            writeln!(stdout, "{between}{report}")
        } else {
            let tree = report.tree().colour_for(&stdout);
            writeln!(stdout, "{between}{tree}")
        };
        written.map_err(stdout_failed)
    }
}
