//! `tracer diff`: shows what has changed, and checks rules.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use tracer::hotspots;

use crate::arguments::Diff;
use crate::failure::{self, Failure};
use crate::input::Reports;
use crate::output::stdout_failed;
use crate::{input, output};

pub(crate) fn run(arguments: &Diff) -> Result<(), Failure> {
    let stdin = Path::new("-");
    if arguments.before == stdin && arguments.after == stdin {
        let why = "standard input can't be both: expected a file before or after";
        return Err(Failure::Impossible(why.to_owned()));
    }
    let read = |file: &PathBuf| {
        let reports = Reports::of(vec![file.clone()], &arguments.leniency);
        input::hotspots(reports, arguments.sites)
    };
    let (before, after) = (read(&arguments.before)?, read(&arguments.after)?);
    let diff = hotspots::Diff::between(&before, &after);
    let table = diff.table().by(arguments.by).top(arguments.top);
    let table = if arguments.markdown {
        table.markdown()
    } else {
        table.width(output::width())
    };
    let breaches = diff.breaches(&arguments.fail_on);
    let mut stdout = io::stdout().lock();
    let mut say = || {
        write!(stdout, "{table}")?;
        stdout.flush()
    };
    let said = say().map_err(stdout_failed);
    // A reader that has closed the pipe still gets to know that a rule is broken.
    if breaches.is_empty()
        || said
            .as_ref()
            .is_err_and(|failure| !failure.is_closed_pipe())
    {
        return said;
    }
    for breach in &breaches {
        failure::say(breach);
    }
    Err(Failure::RuleBroken)
}
