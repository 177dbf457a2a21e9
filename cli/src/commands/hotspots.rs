//! `tracer hotspots`: shows which functions take or allocate the most.

use std::io::Write as _;

use crate::arguments::{self, Format};
use crate::failure::Failure;
use crate::output::stdout_failed;
use crate::{input, output};

pub(crate) fn run(arguments: &arguments::Hotspots) -> Result<(), Failure> {
    let hotspots = input::hotspots(input::reports(&arguments.input), arguments.sites)?;
    let table = hotspots.table().by(arguments.by).top(arguments.top);
    let mut stdout = std::io::stdout().lock();
    let written = match arguments.format {
        Format::Table => write!(stdout, "{}", table.width(output::width())),
        Format::Markdown => write!(stdout, "{}", table.markdown()),
        Format::Json => table.write_json(&mut stdout),
    };
    written.and_then(|()| stdout.flush()).map_err(stdout_failed)
}
