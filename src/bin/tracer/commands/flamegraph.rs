//! `tracer flamegraph`: where it all goes, drawn.

use tracer::hotspots::Hotspots;

use crate::arguments::Flamegraph;
use crate::failure::Failure;
use crate::{input, output};

pub(crate) fn run(arguments: &Flamegraph) -> Result<(), Failure> {
    output::whole(&arguments.output, true, |out| {
        let mut hotspots = Hotspots::new();
        input::for_each(&arguments.input, |report| {
            hotspots.add(&report);
            Ok(())
        })?;
        let drawn = match &arguments.since {
            Some(before) => {
                let before = input::hotspots_of(before, &arguments.input.leniency)?;
                hotspots.write_flamegraph_since(&before, arguments.by, out)
            }
            None => hotspots.write_flamegraph(arguments.by, out),
        };
        drawn.map_err(|error| Failure::Impossible(error.to_string()))
    })
}
