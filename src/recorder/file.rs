//! Kept reports in a file, one line of JSON each.

use std::fmt;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use crate::report::{Report, json};

use super::file_lock::{FileLock, is_at};

/// Limits of the files of reports: how large they become, and how many are kept.
///
/// The present file has the given name; the files before it have `.1`, `.2` and so on appended, the
/// newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rotation {
    /// A new file is begun before one exceeds this many bytes: 64 MiB by default. A single report that
    /// is larger has a file of its own.
    pub max_bytes: u64,
    /// How many files are kept, the present one included: 4 by default, and 1 at least.
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
    /// Sets the most bytes of a file.
    #[must_use]
    pub const fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Sets how many files are kept.
    #[must_use]
    pub const fn files(mut self, files: u32) -> Self {
        self.files = files;
        self
    }
}

/// An error of a file of reports.
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
    /// Returns the source of the cause: the message contains the cause itself.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

/// A file to which reports are written, whole lines only.
pub(super) struct ReportFile {
    path: PathBuf,
    rotation: Rotation,
    /// `None` after an error; the file is opened again for the next report.
    open: Option<Open>,
    /// `None` until a regular file is open.
    lock: Option<FileLock>,
    /// How often the file was gone or replaced by another one.
    reopened: Arc<AtomicU64>,
}

struct Open {
    file: File,
    /// The offset after its last whole line.
    length: u64,
}

/// The most attempts to open a file that others replace meanwhile.
const ATTEMPTS: u32 = 100;

impl ReportFile {
    /// Opens the file, or creates it. An existing one is continued.
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

    /// Returns the files that are written and rotated.
    #[cfg(feature = "web")]
    pub(super) fn files(&self) -> crate::search::files::Files {
        crate::search::files::Files::new(self.path.clone(), self.rotation.files)
    }

    /// Returns the counter of how often the file was gone or replaced by another one.
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
                // Pipes and devices are neither rotated nor locked.
                return Ok(Open { file, length: 0 });
            }
            // Rotation renames the file itself, not a link to it, and the lock must not depend on the
            // name by which a file is reached.
            if let Ok(real) = std::fs::canonicalize(&self.path) {
                self.path = real;
            }
            self.lock()?;
            // Another recorder may have rotated it before it was locked.
            if is_at(&metadata, &self.path) {
                let length = end_of_lines(&mut file).map_err(self.failed("read"))?;
                return Ok(Open { file, length });
            }
        }
        let why = "others replace it again and again";
        Err(self.failed("open")(io::Error::other(why)))
    }

    /// Takes the lock: two recorders that write and rotate one file would lose each other's reports.
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

    /// Returns the file that is now at the path: others may have deleted, moved or cut it.
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

    /// Writes a whole report, or nothing.
    pub(super) fn write(&mut self, report: &Report) -> Result<(), FileError> {
        let line = json::line(report).map_err(self.failed("write a report to"))?;
        let added = line.len() as u64;
        let (mut open, metadata) = self.present()?;
        // A pipe or a terminal is never full, and can't be renamed.
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
            // If the disk is full, a part of the line may have been written.
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
        // Moves the files up to the first gap; without a gap the last one is overwritten.
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

/// Returns how large the process may make a file (`ulimit -f`). A write beyond that does not only fail:
/// it ends the process, by SIGXFSZ.
fn most_bytes() -> u64 {
    #[cfg(unix)]
    let most = rustix::process::getrlimit(rustix::process::Resource::Fsize).current;
    #[cfg(not(unix))]
    let most = None;
    most.unwrap_or(u64::MAX)
}

/// Returns the error that the system would return.
fn too_large() -> io::Error {
    #[cfg(unix)]
    let error = rustix::io::Errno::FBIG.into();
    #[cfg(not(unix))]
    let error = io::ErrorKind::FileTooLarge.into();
    error
}

/// The beginning of each line.
const BEGINNING: &[u8] = b"{\"tracer_report\":";

/// Cuts a file behind its last whole line, and returns its length then. A process that was killed may
/// have left a part of a line, and a machine that lost power may have left bytes that were never
/// written. A file of anything else is left as it is.
fn end_of_lines(file: &mut File) -> io::Result<u64> {
    // Pipes and devices have neither a length nor earlier lines.
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

/// Returns whether a report begins here. A part of its beginning at the end of the file is enough.
fn begins_a_report(file: &mut File, start: u64) -> io::Result<bool> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(start))?;
    let most = BEGINNING.len() as u64;
    Read::by_ref(file).take(most).read_to_end(&mut bytes)?;
    Ok(BEGINNING.starts_with(&bytes))
}

/// Returns whether the rest of the file is zeros.
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
