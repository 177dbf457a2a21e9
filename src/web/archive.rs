//! Files of reports as what a page shows: the newest requests in memory, and a search over all of them.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use crate::recorder::bytes_of;
use crate::report::Report;
use crate::report::escape::Escaped;
use crate::report::json::head::Head;
use crate::search::files::{Line, OpenFile, Place, each_line};

/// Files of reports, for a [page](super::Page::of_archive) that shows them away from the service that wrote them.
///
/// The newest requests are in memory: lists, routes, groups of failures and hotspots are of these. A search, and the
/// page of a request, also look into the files. Files are read again when they have changed.
///
/// A handle: it clones cheaply.
///
/// ```
/// use tracer::web::{Archive, Page};
/// use tracer::{Trace, report::json};
///
/// let folder = tempfile::tempdir()?;
/// let file = folder.path().join("traces.jsonl");
/// json::write_line(&Trace::new().report(), std::fs::File::create(&file)?)?;
///
/// let archive = Archive::open([&file], 64 << 20)?;
/// assert_eq!((archive.contents().reports, archive.contents().in_memory), (1, 1));
/// let page: axum::Router = Page::of_archive(archive)?.router();
///
/// std::fs::write(&file, "no report\n")?;
/// let error = Archive::open([&file], 64 << 20).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     format!("{}: no reports: expected a line of JSON for each", file.display())
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Archive {
    paths: Arc<[PathBuf]>,
    memory_bytes: usize,
    read: Arc<Mutex<Read>>,
}

/// What the files had when they were last read.
struct Read {
    files: Vec<OpenFile>,
    contents: ArchiveContents,
    newest: Arc<[Arc<Report>]>,
}

/// What is in the files of an [`Archive`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ArchiveContents {
    /// The number of files that were read, without those that have been removed since, and each once.
    pub files: usize,
    /// The reports in the files. Copies of reports that are in memory are not counted.
    pub reports: u64,
    /// How many of them are in memory, the newest.
    pub in_memory: usize,
    /// Lines that are no reports. Of reports that are not in memory, only the part before the calls was read.
    pub unreadable: u64,
    /// The file of the first of them, and its number there, from 1; without those of more than 16 MiB.
    pub first_unreadable: Option<(PathBuf, u64)>,
}

impl fmt::Debug for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut archive = f.debug_struct("Archive");
        archive.field("paths", &self.paths).finish_non_exhaustive()
    }
}

/// Error of [`Archive::open`]. Its message names the file and what was expected.
#[derive(Debug)]
pub struct ArchiveError {
    path: PathBuf,
    problem: Problem,
}

#[derive(Debug)]
enum Problem {
    Unopened(io::Error),
    NotFile,
    NoReports,
    NoFiles,
}

impl fmt::Display for ArchiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, problem } = self;
        if !path.as_os_str().is_empty() {
            write!(f, "{}: ", Escaped(&path.display().to_string()))?;
        }
        match problem {
            Problem::Unopened(error) => error.fmt(f),
            Problem::NotFile => f.write_str("expected a regular file, which can be read again"),
            Problem::NoReports => f.write_str("no reports: expected a line of JSON for each"),
            Problem::NoFiles => f.write_str("no files: expected one at least"),
        }
    }
}

// The message includes its cause.
impl std::error::Error for ArchiveError {}

impl Archive {
    /// Reads files of reports.
    ///
    /// The newest reports are kept in at most `memory_bytes`, and while the files are read, their lines in as much
    /// again. 100 MB take some 0.2 s of a processor.
    ///
    /// Lines that are no reports are passed over and [counted](ArchiveContents::unreadable). A last line without an end is
    /// taken as one that is being written.
    ///
    /// # Errors
    ///
    /// If a file can't be opened, is no regular file, or has lines and no report; if there is no report at all.
    pub fn open(
        paths: impl IntoIterator<Item = impl Into<PathBuf>>,
        memory_bytes: usize,
    ) -> Result<Self, ArchiveError> {
        let paths: Vec<PathBuf> = paths.into_iter().map(Into::into).collect();
        let mut files = Vec::new();
        for path in &paths {
            let failed = |problem| ArchiveError {
                path: path.clone(),
                problem,
            };
            let file = OpenFile::open(path.clone());
            let file = file.map_err(|error| failed(Problem::Unopened(error)))?;
            let file = file.ok_or_else(|| failed(Problem::NotFile))?;
            file.add_to(&mut files);
        }
        let Some(first) = paths.first() else {
            return Err(ArchiveError {
                path: PathBuf::new(),
                problem: Problem::NoFiles,
            });
        };
        let (read, bad) = Read::of(files, memory_bytes);
        // An empty file among others may be the recorder's lock, or one that is about to be written.
        let bad = bad.map(|file| read.files[file].path());
        if let Some(path) = bad.or((read.contents.reports == 0).then_some(&**first)) {
            return Err(ArchiveError {
                path: path.to_owned(),
                problem: Problem::NoReports,
            });
        }
        Ok(Self {
            paths: paths.into(),
            memory_bytes,
            read: Arc::new(Mutex::new(read)),
        })
    }

    /// Returns what is in the files, as they were last read.
    pub fn contents(&self) -> ArchiveContents {
        self.with(|read| read.contents.clone())
    }

    /// Reads the files again if they have changed.
    pub(super) fn refresh(&self) {
        let files = self.open_files();
        // The lock is held meanwhile: others wait for what they would have to read as well.
        self.with(|read| {
            let mut pairs = files.iter().zip(&read.files);
            let is_as_before = files.len() == read.files.len()
                && pairs.all(|(now, before)| now.is_unchanged(before));
            if !is_as_before {
                // Before the new ones are read, so that both are never there.
                read.newest = Vec::new().into();
                *read = Read::of(files, self.memory_bytes).0;
            }
        });
    }

    /// Opens the files that are there, each once.
    pub(super) fn open_files(&self) -> Vec<OpenFile> {
        let mut files = Vec::new();
        for path in &*self.paths {
            if let Ok(Some(file)) = OpenFile::open(path.clone()) {
                file.add_to(&mut files);
            }
        }
        files
    }

    /// Returns the reports in memory, the newest first.
    pub(super) fn newest(&self) -> Arc<[Arc<Report>]> {
        self.with(|read| Arc::clone(&read.newest))
    }

    fn with<T>(&self, f: impl FnOnce(&mut Read) -> T) -> T {
        f(&mut self.read.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Read {
    /// Reads files, and returns also the place of the first that has lines and no report.
    fn of(files: Vec<OpenFile>, most: usize) -> (Self, Option<usize>) {
        let mut newest = Newest::new(most);
        let mut first_unreadable = None;
        // Whether each has reports, and other lines.
        let mut has = vec![(false, false); files.len()];
        let progress = each_line(&files, Duration::MAX, |line, place| {
            let of_file = &mut has[place.file];
            ControlFlow::Continue(if let Some(head) = Head::of_line(line) {
                of_file.0 = true;
                newest.add(&head, place, line);
                Line::Read
            } else {
                of_file.1 = true;
                first_unreadable.get_or_insert(place);
                Line::Unreadable
            })
        });
        let reports = newest.reports;
        let (newest, bad) = newest.parsed();
        let first_unreadable = first_unreadable.into_iter().chain(bad.iter().copied());
        let name = |it: Place| (files[it.file].path().to_owned(), it.line);
        let contents = ArchiveContents {
            files: files.len(),
            reports: reports - bad.len() as u64,
            in_memory: newest.len(),
            unreadable: progress.unreadable + bad.len() as u64,
            first_unreadable: first_unreadable.min().map(name),
        };
        let without = has.iter().position(|it| *it == (false, true));
        let read = Self {
            files,
            contents,
            newest: newest.into(),
        };
        (read, without)
    }
}

/// The newest reports, as lines.
struct Newest {
    most_bytes: usize,
    bytes: usize,
    /// By their beginnings. A report that is there twice is kept once.
    lines: BTreeMap<(SystemTime, u64), (Place, Vec<u8>)>,
    reports: u64,
}

impl Newest {
    fn new(most_bytes: usize) -> Self {
        Self {
            most_bytes,
            bytes: 0,
            lines: BTreeMap::new(),
            reports: 0,
        }
    }

    fn add(&mut self, head: &Head, place: Place, line: &[u8]) {
        let key = (head.started, head.trace);
        let is_full = self.bytes + line.len() > self.most_bytes;
        let oldest = self.lines.first_key_value().map(|(key, _)| *key);
        if self.lines.contains_key(&key) {
            return;
        }
        self.reports += 1;
        if is_full && oldest.is_some_and(|it| key < it) {
            return;
        }
        self.bytes += line.len();
        self.lines.insert(key, (place, line.to_owned()));
        while self.bytes > self.most_bytes && self.lines.len() > 1 {
            if let Some((_, (_, line))) = self.lines.pop_first() {
                self.bytes -= line.len();
            }
        }
    }

    /// Returns the reports, the newest first, and the places of lines that are none.
    fn parsed(mut self) -> (Vec<Arc<Report>>, Vec<Place>) {
        let (mut reports, mut bad) = (Vec::new(), Vec::new());
        let mut bytes = 0;
        while let Some((_, (place, line))) = self.lines.pop_last() {
            let Ok(report) = serde_json::from_slice::<Report>(&line) else {
                bad.push(place);
                continue;
            };
            bytes += bytes_of(&report);
            if bytes > self.most_bytes && !reports.is_empty() {
                break;
            }
            reports.push(Arc::new(report));
        }
        (reports, bad)
    }
}
