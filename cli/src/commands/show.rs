//! `tracer show`: shows reports one by one.

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
                if is_asked_for(&report, arguments) {
                    shown.show(&report, arguments)?;
                }
            }
            return Ok(());
        }
    };
    // Of two reports of one weight, the earlier one.
    let mut kept = BTreeMap::new();
    for (number, report) in reports.enumerate() {
        let report = report?;
        kept.insert((Reverse(weight(&report)), number), report);
        if kept.len() > most {
            kept.pop_last();
        }
    }
    let mut kept = kept.values();
    kept.try_for_each(|report| shown.show(report, arguments))
}

/// Decides by the request's outcome: an error in a call inside may have been handled.
fn is_asked_for(report: &Report, arguments: &Show) -> bool {
    match report.outcome() {
        Outcome::Failed(_) | Outcome::Panicked => !arguments.cancelled,
        Outcome::Cancelled => !arguments.failed,
        Outcome::Ok | Outcome::Running => !arguments.failed && !arguments.cancelled,
    }
}

/// Shows reports, with empty lines between them.
#[derive(Default)]
struct Shown {
    any: bool,
}

impl Shown {
    /// Shows a report at once, so that reports from a pipe that stays open appear, too.
    fn show(&mut self, report: &Report, arguments: &Show) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        let between = if self.any { "\n" } else { "" };
        self.any = true;
        let written = if arguments.plain {
            writeln!(stdout, "{between}{report}")
        } else {
            let tree = report.tree().colour_for(&stdout);
            let tree = if arguments.unfolded {
                tree.unfolded()
            } else {
                tree
            };
            writeln!(stdout, "{between}{tree}")
        };
        written.map_err(stdout_failed)
    }
}
