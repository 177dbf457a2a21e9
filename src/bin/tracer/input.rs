//! Reads reports from files, with a bar where that takes long.

use std::fs::File;
use std::io::{self, BufReader, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tracer::Report;
use tracer::report::json;

use crate::arguments::{Input, Leniency};
use crate::failure::Failure;

/// Calls `each` with every report, one at a time, so that no more than one line is in memory.
pub(crate) fn for_each(
    input: &Input,
    mut each: impl FnMut(Report) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let stdin = [PathBuf::from(STDIN)];
    let files = if input.files.is_empty() {
        &stdin[..]
    } else {
        &input.files
    };
    let mut reader = Reader::new(files, &input.leniency);
    for file in files {
        reader.read(file, &mut each)?;
    }
    reader.finish();
    Ok(())
}

/// Adds up all reports of a file.
pub(crate) fn hotspots_of(
    file: &Path,
    leniency: &Leniency,
) -> Result<tracer::hotspots::Hotspots, Failure> {
    let mut hotspots = tracer::hotspots::Hotspots::new();
    let mut reader = Reader::new(&[file.to_owned()], leniency);
    reader.read(file, &mut |report| {
        hotspots.add(&report);
        Ok(())
    })?;
    reader.finish();
    Ok(hotspots)
}

/// What stands for standard input.
const STDIN: &str = "-";

/// A bar that comes and goes is worse than none.
const PATIENCE: Duration = Duration::from_secs(1);

struct Reader<'a> {
    leniency: &'a Leniency,
    bar: ProgressBar,
    started: Instant,
    passed_over: u64,
}

impl<'a> Reader<'a> {
    fn new(files: &[PathBuf], leniency: &'a Leniency) -> Self {
        // None where one of them is not a file, whose length nobody knows.
        let sizes = files.iter().map(|file| {
            let metadata = std::fs::metadata(file).ok();
            metadata
                .filter(std::fs::Metadata::is_file)
                .map(|it| it.len())
        });
        let size: Option<u64> = sizes.sum();
        let bar = ProgressBar::with_draw_target(size, ProgressDrawTarget::hidden());
        let template = match size {
            Some(_) => "{bar:40} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left",
            None => "{spinner} {bytes}, {bytes_per_sec}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self {
            leniency,
            bar,
            started: Instant::now(),
            passed_over: 0,
        }
    }

    fn read(
        &mut self,
        path: &Path,
        each: &mut impl FnMut(Report) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let name = name(path);
        let input = open(path).map_err(|error| Failure::Input(name.clone(), error))?;
        let input = BufReader::with_capacity(1 << 20, self.bar.wrap_read(input));
        let mut found = 0_u64;
        for line in json::Lines::new(input) {
            self.show_bar();
            match line {
                Ok(report) => {
                    found += 1;
                    each(report)?;
                }
                Err(error) if self.leniency.skip_bad && !error.is_io() => self.passed_over += 1,
                Err(error) => return Err(Failure::Line(name, error)),
            }
        }
        if found == 0 {
            return Err(Failure::Empty(name));
        }
        Ok(())
    }

    fn show_bar(&mut self) {
        if self.bar.is_hidden() && self.started.elapsed() > PATIENCE && io::stderr().is_terminal() {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
    }

    fn finish(self) {
        self.bar.finish_and_clear();
        if self.leniency.skip_bad {
            let lines = self.passed_over;
            let lines = if lines == 1 {
                "1 line".to_owned()
            } else {
                format!("{lines} lines")
            };
            eprintln!("tracer: passed over {lines}");
        }
    }
}

fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    if path == Path::new(STDIN) {
        let stdin = io::stdin();
        if stdin.is_terminal() {
            let expected = "expected a file, or reports on standard input";
            return Err(io::Error::other(expected));
        }
        return Ok(Box::new(stdin.lock()));
    }
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::Error::other("expected a file, and it is a directory"));
    }
    Ok(Box::new(file))
}

fn name(path: &Path) -> String {
    if path == Path::new(STDIN) {
        return "standard input".to_owned();
    }
    // As a name may have anything in it.
    path.display().to_string().escape_debug().to_string()
}
