//! `tracer export`: reports in the formats of other tools.

use tracer::hotspots::Hotspots;

use crate::arguments::{Export, Target};
use crate::failure::Failure;
use crate::{input, output};

pub(crate) fn run(arguments: &Export) -> Result<(), Failure> {
    let is_text = arguments.to != Target::Pprof;
    output::whole(&arguments.output, is_text, |out| {
        let failed = |error| Failure::Output(output::name(&arguments.output), error);
        if arguments.to == Target::Chrome {
            return chrome(arguments, out);
        }
        let mut hotspots = Hotspots::new();
        input::for_each(&arguments.input, |report| {
            hotspots.add(&report);
            Ok(())
        })?;
        let written = match arguments.to {
            Target::Pprof => hotspots.write_pprof(out),
            _ => hotspots.write_stacks(arguments.by, out),
        };
        written.map_err(failed)
    })
}
