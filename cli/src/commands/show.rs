//! `tracer show`: shows reports one by one.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::SystemTime;

use tracer::Report;

use crate::arguments::Show;
use crate::failure::Failure;
use crate::input;
use crate::output::stdout_failed;

pub(crate) fn run(arguments: &Show) -> Result<(), Failure> {
    let query = arguments.find.query();
    let query = query.map_err(|error| Failure::Impossible(error.to_string()))?;
    let now = SystemTime::now();
    let (mut read, mut found) = (0, 0_u64);
    let mut reports = input::reports(&arguments.input).filter(|report| {
        let Ok(report) = report else { return true };
        let is_it = query.matches(report, now);
        read += 1;
        found += u64::from(is_it);
        is_it
    });
    show(&mut reports, arguments)?;
    drop(reports);
    if found == 0 && !query.is_empty() {
        return Err(Failure::NoneFound(read));
    }
    Ok(())
}

fn show(
    reports: &mut dyn Iterator<Item = Result<Report, Failure>>,
    arguments: &Show,
) -> Result<(), Failure> {
    let mut shown = Shown::default();
    let (most, weight): (_, fn(&Report) -> u128) = match (arguments.slowest, arguments.heaviest) {
        (Some(most), _) => (most, |report| {
            let of_request = report.request.as_ref().map(|it| it.wall);
            of_request.unwrap_or(report.elapsed).as_nanos()
        }),
        (_, Some(most)) => (most, |report| {
            report.total.map_or(0, |total| total.bytes_allocated.into())
        }),
        _ => {
            for report in reports {
                shown.show(&report?, arguments)?;
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
