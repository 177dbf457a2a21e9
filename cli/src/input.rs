//! Reads reports from files, with a progress bar if that takes long.

use std::fs::{File, Metadata};
use std::io::{self, BufReader, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressBarIter, ProgressDrawTarget, ProgressStyle};
use tracer::Report;
use tracer::hotspots::Hotspots;
use tracer::report::json;

use crate::arguments::{Input, Leniency, Sites};
use crate::failure::{self, Failure};

/// Returns the reports of all files, one at a time, so that only one is in memory. It ends after a
/// failure.
pub(crate) fn reports(input: &Input) -> Reports {
    if input.files.is_empty() {
        return Reports::of(vec![PathBuf::from(STDIN)], &input.leniency);
    }
    Reports::of(input.files.clone(), &input.leniency)
}

/// Adds up all reports.
pub(crate) fn hotspots(mut reports: Reports, sites: Sites) -> Result<Hotspots, Failure> {
    let mut hotspots = if sites.sites {
        Hotspots::with_sites()
    } else {
        Hotspots::new()
    };
    while let Some(added) = reports.next_by(|lines| hotspots.add_next(lines)) {
        added?;
    }
    Ok(hotspots)
}

/// Stands for standard input.
const STDIN: &str = "-";

/// A bar that vanishes at once would only distract.
const PATIENCE: Duration = Duration::from_secs(1);

pub(crate) struct Reports {
    files: std::vec::IntoIter<PathBuf>,
    current: Option<Source>,
    skip_bad: bool,
    passed_over: u64,
    bar: ProgressBar,
    started: Instant,
}

struct Source {
    name: String,
    lines: Lines,
    has_reports: bool,
}

type Lines = json::Lines<BufReader<ProgressBarIter<Box<dyn Read>>>>;

impl Reports {
    pub(crate) fn of(mut files: Vec<PathBuf>, leniency: &Leniency) -> Self {
        // A pattern such as `traces.jsonl*` also has the recorder's lock, which is always empty.
        if files.iter().any(|file| !is_lock(file)) {
            files.retain(|file| !is_lock(file));
        }
        // `None` if one of them is not a regular file, whose length is unknown.
        let sizes = files.iter().map(|file| {
            let metadata = std::fs::metadata(file).ok();
            metadata.filter(Metadata::is_file).map(|it| it.len())
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
            files: files.into_iter(),
            current: None,
            skip_bad: leniency.skip_bad,
            passed_over: 0,
            bar,
            started: Instant::now(),
        }
    }

    /// Reads the next report by `read`, which returns what comes of it, and `None` at the end of a file.
    fn next_by<T>(
        &mut self,
        read: impl FnMut(&mut Lines) -> Option<Result<T, json::Error>>,
    ) -> Option<Result<T, Failure>> {
        self.show_bar();
        let next = self.read(read).transpose();
        if matches!(next, Some(Err(_))) {
            self.finish();
            (self.files, self.current) = (Vec::new().into_iter(), None);
        }
        next
    }

    fn read<T>(
        &mut self,
        mut read: impl FnMut(&mut Lines) -> Option<Result<T, json::Error>>,
    ) -> Result<Option<T>, Failure> {
        loop {
            let Some(source) = &mut self.current else {
                let Some(file) = self.files.next() else {
                    self.finish();
                    return Ok(None);
                };
                self.current = Some(Source::open(&file, &self.bar)?);
                continue;
            };
            match read(&mut source.lines) {
                Some(Ok(read)) => {
                    source.has_reports = true;
                    return Ok(Some(read));
                }
                Some(Err(error)) if self.skip_bad && !error.is_io() => self.passed_over += 1,
                Some(Err(error)) => return Err(Failure::Line(source.name.clone(), error)),
                None if source.has_reports => self.current = None,
                None => return Err(Failure::Empty(source.name.clone())),
            }
        }
    }

    fn show_bar(&self) {
        if self.bar.is_hidden() && self.started.elapsed() > PATIENCE && io::stderr().is_terminal() {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
    }

    fn finish(&mut self) {
        self.bar.finish_and_clear();
        if std::mem::take(&mut self.skip_bad) {
            let lines = failure::plural(self.passed_over, "line");
            failure::say(&format_args!("passed over {lines}"));
        }
    }
}

impl Iterator for Reports {
    type Item = Result<Report, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_by(Iterator::next)
    }
}

fn is_lock(path: &Path) -> bool {
    let is_empty = |it: Metadata| it.is_file() && it.len() == 0;
    path.extension().is_some_and(|it| it == "lock") && path.metadata().is_ok_and(is_empty)
}

impl Source {
    fn open(path: &Path, bar: &ProgressBar) -> Result<Self, Failure> {
        let name = name(path);
        let input = open(path).map_err(|error| Failure::Input(name.clone(), error))?;
        let input = BufReader::with_capacity(1 << 20, bar.wrap_read(input));
        Ok(Self {
            name,
            lines: json::Lines::new(input),
            has_reports: false,
        })
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

/// Returns a file's name for messages.
pub(crate) fn name(path: &Path) -> String {
    if path == Path::new(STDIN) {
        return "standard input".to_owned();
    }
    // Escaped, since a name may have any characters.
    path.display().to_string().escape_debug().to_string()
}
