//! `tracer export`: reports in the formats of other tools.

use std::io::{self, Write};

use tracer::export::chrome;
use tracer::hotspots::{By, Hotspots};

use crate::arguments::{Export, Target};
use crate::failure::Failure;
use crate::input::Reports;
use crate::{input, output};

pub(crate) fn run(arguments: &Export) -> Result<(), Failure> {
    let is_text = arguments.to != Target::Pprof;
    output::whole(&arguments.output, is_text, |out| {
        let reports = input::reports(&arguments.input);
        let written = match arguments.to {
            Target::Chrome => return chrome(reports, arguments, out),
            Target::Folded => {
                let hotspots = input::hotspots(reports)?;
                check(&hotspots, arguments.by)?;
                hotspots.write_stacks(arguments.by, out)
            }
            Target::Pprof => input::hotspots(reports)?.write_pprof(out),
        };
        written.map_err(|error| failed(arguments, error))
    })
}

/// An empty file says nothing, least of all why it is empty.
fn check(hotspots: &Hotspots, by: By) -> Result<(), Failure> {
    if hotspots.paths().iter().any(|path| by.of(path.totals) > 0) {
        return Ok(());
    }
    Err(Failure::Impossible(
        if by.is_counted() && hotspots.counts().is_none() {
            format!(
                "nothing to export: {by} were not counted: expected another figure, such as time"
            )
        } else {
            format!("nothing to export: expected calls with {by} above 0")
        },
    ))
}

/// Each report is written as it is read.
fn chrome(reports: Reports, arguments: &Export, out: &mut dyn Write) -> Result<(), Failure> {
    let mut failure = None;
    let good = { reports }.map_while(|report| match report {
        Ok(report) => Some(report),
        Err(error) => {
            failure = Some(error);
            None
        }
    });
    let written = chrome::write(good, out).map_err(|error| failed(arguments, error));
    match failure {
        Some(failure) => Err(failure),
        None => written,
    }
}

fn failed(arguments: &Export, error: io::Error) -> Failure {
    Failure::Output(output::name(&arguments.output), error)
}
