//! Kept reports in a file, a line of JSON each.

use std::fmt;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use crate::report::{Report, json};

use super::file_lock::{FileLock, is_at};

/// How large files of reports become, and how many are kept.
///
/// The present one has the name that was given; those before it have `.1`, `.2` and so on behind
/// it, the newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rotation {
    /// Another file is begun before one exceeds so many bytes: 64 MiB unless told otherwise. A
    /// report that is larger by itself has a file of its own.
    pub max_bytes: u64,
    /// So many files are kept, the present one included: 4 unless told otherwise, and 1 at least.
    pub files: u32,
}

impl Default for Rotation {
    fn default() -> Self {
        Self {
            max_bytes: 64 << 20,
            files: 4,
        }
    }
}

impl Rotation {
    /// With files of at most so many bytes.
    #[must_use]
    pub const fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// With so many files.
    #[must_use]
    pub const fn files(mut self, files: u32) -> Self {
        self.files = files;
        self
    }
}

/// What went wrong with a file of reports.
#[derive(Debug)]
pub(super) struct FileError {
    doing: &'static str,
    path: PathBuf,
    error: io::Error,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { doing, path, error } = self;
        write!(f, "cannot {doing} {}: {error}", path.display())
    }
}

impl std::error::Error for FileError {
    /// Returns what lies behind the cause, as the message has the cause itself.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

/// A file to which reports are written, whole lines only.
pub(super) struct ReportFile {
    path: PathBuf,
    rotation: Rotation,
    /// None after something went wrong with it; it is opened again for the next report.
    open: Option<Open>,
    /// None until there is a regular file.
    lock: Option<FileLock>,
    /// How often the file was gone, or another one in its place.
    reopened: Arc<AtomicU64>,
}

struct Open {
    file: File,
    /// After its last whole line.
    length: u64,
}

/// How often a file is opened that others replace at the same time.
const ATTEMPTS: u32 = 100;

impl ReportFile {
    /// Goes on with the file if there is one.
    pub(super) fn open(path: &Path, rotation: Rotation) -> Result<Self, FileError> {
        let mut file = Self {
            path: path.to_owned(),
            rotation,
            open: None,
            lock: None,
            reopened: Arc::default(),
        };
        file.open = Some(file.reopen()?);
        Ok(file)
    }

    /// How often the file was gone, or another one in its place.
    pub(super) fn reopened(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.reopened)
    }

    fn failed(&self, doing: &'static str) -> impl FnOnce(io::Error) -> FileError {
        let path = self.path.clone();
        move |error| FileError { doing, path, error }
    }

    fn reopen(&mut self) -> Result<Open, FileError> {
        for _ in 0..ATTEMPTS {
            let mut options = OpenOptions::new();
            options.read(true).append(true).create(true);
            let mut file = options.open(&self.path).map_err(self.failed("open"))?;
            let metadata = file.metadata().map_err(self.failed("read"))?;
            if !metadata.is_file() {
                // What is no regular file is neither rotated nor locked.
                return Ok(Open { file, length: 0 });
            }
            // Files are renamed beside each other, and not the link that leads there; and a file is
            // the same by whatever name.
            if let Ok(real) = std::fs::canonicalize(&self.path) {
                self.path = real;
            }
            self.lock()?;
            // Before it was locked another recorder may have rotated it.
            if is_at(&metadata, &self.path) {
                let length = end_of_lines(&mut file).map_err(self.failed("read"))?;
                return Ok(Open { file, length });
            }
        }
        let why = "others replace it again and again";
        Err(self.failed("open")(io::Error::other(why)))
    }

    /// Two that write and rotate the same files would lose each other's.
    fn lock(&mut self) -> Result<(), FileError> {
        if self.lock.as_ref().is_some_and(FileLock::holds) {
            return Ok(());
        }
        self.lock = None;
        self.lock = FileLock::take(&self.path).map_err(self.failed("lock"))?;
        if self.lock.is_none() {
            let why = "another recorder writes to it";
            return Err(self.failed("open")(io::Error::other(why)));
        }
        Ok(())
    }

    /// The file at the path, as it is now: it may have been deleted, moved or cut by others.
    fn present(&mut self) -> Result<(Open, Metadata), FileError> {
        if let Some(mut open) = self.open.take() {
            let metadata = open.file.metadata().map_err(self.failed("read"))?;
            if !metadata.is_file() {
                return Ok((open, metadata));
            }
            if is_at(&metadata, &self.path) {
                self.lock()?;
                if metadata.len() != open.length {
                    open.length = end_of_lines(&mut open.file).map_err(self.failed("read"))?;
                }
                return Ok((open, metadata));
            }
            self.reopened.fetch_add(1, Relaxed);
        }
        let open = self.reopen()?;
        let metadata = open.file.metadata().map_err(self.failed("read"))?;
        Ok((open, metadata))
    }

    /// Writes a report, all of it or nothing.
    pub(super) fn write(&mut self, report: &Report) -> Result<(), FileError> {
        let line = json::line(report).map_err(self.failed("write a report to"))?;
        let added = line.len() as u64;
        let (mut open, metadata) = self.present()?;
        // A pipe or a terminal is never full, and not to be renamed.
        let is_full = metadata.is_file()
            && open.length > 0
            && open.length.saturating_add(added) > self.rotation.max_bytes;
        let start = if is_full { 0 } else { open.length };
        if metadata.is_file() && start.saturating_add(added) > most_bytes() {
            self.open = Some(open);
            return Err(self.failed("write to")(too_large()));
        }
        if is_full {
            drop(open);
            self.rotate()?;
            open = self.reopen()?;
        }
        let Open { mut file, length } = open;
        if let Err(error) = file.write_all(&line) {
            // Half a line may be there, where the disk is full.
            let ours = length..length + added;
            let is_whole = match file.metadata() {
                Ok(it) if it.len() == length => true,
                Ok(it) if ours.contains(&it.len()) => file.set_len(length).is_ok(),
                _ => false,
            };
            self.open = is_whole.then_some(Open { file, length });
            return Err(self.failed("write to")(error));
        }
        let length = if metadata.is_file() {
            length + added
        } else {
            0
        };
        self.open = Some(Open { file, length });
        Ok(())
    }

    fn rotate(&self) -> Result<(), FileError> {
        let before = |number: u32| {
            let mut name = self.path.clone().into_os_string();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        let kept = self.rotation.files.saturating_sub(1);
        // Up to the first that is not there; where all are, the last one goes.
        let present = (1..kept).find(|number| !before(*number).exists());
        for number in (1..present.unwrap_or(kept)).rev() {
            match std::fs::rename(before(number), before(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(self.failed("rename the files before")(error));
                }
                _ => {}
            }
        }
        let moved = if kept == 0 {
            std::fs::remove_file(&self.path)
        } else {
            std::fs::rename(&self.path, before(1))
        };
        match moved {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(self.failed("rename")(error))
            }
            _ => Ok(()),
        }
    }
}

/// How large the process may make a file now (`ulimit -f`). Beyond, the system does not only refuse the
/// write: it ends the process, by SIGXFSZ.
fn most_bytes() -> u64 {
    #[cfg(unix)]
    let most = rustix::process::getrlimit(rustix::process::Resource::Fsize).current;
    #[cfg(not(unix))]
    let most = None;
    most.unwrap_or(u64::MAX)
}

/// What the system would say.
fn too_large() -> io::Error {
    #[cfg(unix)]
    let error = rustix::io::Errno::FBIG.into();
    #[cfg(not(unix))]
    let error = io::ErrorKind::FileTooLarge.into();
    error
}

/// What each line begins with.
const BEGINNING: &[u8] = b"{\"tracer_report\":";

/// Cuts a file behind its last whole line: a process that was killed may have left half of one, and a
/// machine that was, bytes that were never written. Answers its length then. A file of something else is
/// left as it is.
fn end_of_lines(file: &mut File) -> io::Result<u64> {
    // What is no file has neither a length nor lines that were there before.
    let metadata = file.metadata()?;
    let length = if metadata.is_file() {
        metadata.len()
    } else {
        0
    };
    let end = end_of_last_line(file, length)?;
    for start in [0, end] {
        if start == length || begins_a_report(file, start)? {
            continue;
        }
        if start == 0 && end > 0 || !is_blank(file, start)? {
            let why = format!("expected reports, but byte {start} begins a line of something else");
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
    }
    if end < length {
        file.set_len(end)?;
    }
    Ok(end)
}

/// Also where less is there than a report begins with.
fn begins_a_report(file: &mut File, start: u64) -> io::Result<bool> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(start))?;
    let most = BEGINNING.len() as u64;
    Read::by_ref(file).take(most).read_to_end(&mut bytes)?;
    Ok(BEGINNING.starts_with(&bytes))
}

/// Whether nothing but zeros comes.
fn is_blank(file: &mut File, start: u64) -> io::Result<bool> {
    file.seek(SeekFrom::Start(start))?;
    for byte in io::BufReader::new(file).bytes() {
        if byte? != 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

fn end_of_last_line(file: &mut File, length: u64) -> io::Result<u64> {
    const STEP: u64 = 64 << 10;
    let mut end = length;
    let mut bytes = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(STEP);
        file.seek(SeekFrom::Start(start))?;
        bytes.clear();
        Read::by_ref(file)
            .take(end - start)
            .read_to_end(&mut bytes)?;
        if let Some(last) = bytes.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + last as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}
