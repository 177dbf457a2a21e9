//! `tracer flamegraph`: draws hotspots as a flame graph.

use crate::arguments::Flamegraph;
use crate::failure::Failure;
use crate::input::Reports;
use crate::{input, output};

pub(crate) fn run(arguments: &Flamegraph) -> Result<(), Failure> {
    output::whole(&arguments.output, true, |out| {
        let hotspots = input::hotspots(input::reports(&arguments.input), arguments.sites)?;
        let drawn = match &arguments.since {
            Some(before) => {
                let before = Reports::of(vec![before.clone()], &arguments.input.leniency);
                let before = input::hotspots(before, arguments.sites)?;
                hotspots.write_flamegraph_since(&before, arguments.by, out)
            }
            None => hotspots.write_flamegraph(arguments.by, out),
        };
        drawn.map_err(|error| Failure::Impossible(error.to_string()))
    })
}
