//! `tracer export`: writes reports in formats of other tools.

use std::io::{self, Write};

use tracer::export::NothingToExport;

use crate::arguments::Export;
use crate::failure::Failure;
use crate::input::Reports;
use crate::{input, output};

pub(crate) fn run(arguments: &Export) -> Result<(), Failure> {
    output::whole(&arguments.output, arguments.to.is_text(), |out| {
        export(input::reports(&arguments.input), arguments, out)
    })
}

/// Writes the reports as they are read, if the format allows it.
fn export(reports: Reports, arguments: &Export, out: &mut dyn Write) -> Result<(), Failure> {
    let mut failure = None;
    let good = { reports }.map_while(|report| match report {
        Ok(report) => Some(report),
        Err(error) => {
            failure = Some(error);
            None
        }
    });
    let written = arguments.to.by(arguments.by).write(good, out);
    match failure {
        Some(failure) => Err(failure),
        None => written.map_err(|error| failed(arguments, error)),
    }
}

fn failed(arguments: &Export, error: io::Error) -> Failure {
    match error
        .get_ref()
        .and_then(|it| it.downcast_ref::<NothingToExport>())
    {
        Some(nothing) => Failure::Impossible(nothing.to_string()),
        None => Failure::Output(output::name(&arguments.output), error),
    }
}
