//! Files of reports as what a page shows: the newest requests in memory, and a search over all of them.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::report::Report;
use crate::report::escape::Escaped;
use crate::search::files::OpenFile;

use super::followed::{ArchiveContents, Followed};

/// Files of reports, for a [page](super::Page::of_archive) that shows them away from the service that wrote them.
///
/// The newest requests are in memory: lists, routes, groups of failures and hotspots are of these. A search, and the
/// page of a request, also look into the files. Of files that have grown, the rest is read; if one was rotated away, cut or
/// replaced, all are read again.
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
    followed: Arc<Mutex<Followed>>,
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
        let mut followed = Followed::new(memory_bytes);
        let without = followed.follow(files);
        let nothing = (followed.contents().reports == 0).then_some(first);
        // An empty file among others may be the recorder's lock, or one that is about to be written.
        if let Some(path) = without.as_ref().or(nothing) {
            return Err(ArchiveError {
                path: path.to_owned(),
                problem: Problem::NoReports,
            });
        }
        Ok(Self {
            paths: paths.into(),
            followed: Arc::new(Mutex::new(followed)),
        })
    }

    /// Returns what is in the files, as they were last read.
    pub fn contents(&self) -> ArchiveContents {
        self.with(|followed| followed.contents().clone())
    }

    /// Reads what has been added to the files, or all of them if they have changed otherwise.
    pub(super) fn refresh(&self) {
        let files = self.open_files();
        // The lock is held meanwhile: others wait for what they would have to read as well.
        self.with(|followed| followed.follow(files));
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
        self.with(|followed| followed.newest())
    }

    fn with<T>(&self, f: impl FnOnce(&mut Followed) -> T) -> T {
        let mut followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        f(&mut followed)
    }
}
