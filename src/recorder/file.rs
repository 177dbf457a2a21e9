//! Kept reports in a file, a line of JSON each.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::report::Report;
use crate::report::json::escaping;

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
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// A file to which reports are written, whole lines only.
pub(super) struct ReportFile {
    path: PathBuf,
    rotation: Rotation,
    /// None after something went wrong with it; it is opened again for the next report.
    open: Option<(File, u64)>,
}

impl ReportFile {
    /// Goes on with the file where there is one.
    pub(super) fn open(path: &Path, rotation: Rotation) -> Result<Self, FileError> {
        let mut file = Self {
            path: path.to_owned(),
            rotation,
            open: None,
        };
        file.open = Some(file.reopen()?);
        // Files are renamed beside each other, and not the link that leads there.
        if path.is_symlink()
            && let Ok(real) = std::fs::canonicalize(path)
        {
            file.path = real;
        }
        Ok(file)
    }

    fn failed(&self, doing: &'static str) -> impl FnOnce(io::Error) -> FileError {
        let path = self.path.clone();
        move |error| FileError { doing, path, error }
    }

    fn reopen(&self) -> Result<(File, u64), FileError> {
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true);
        let mut file = options.open(&self.path).map_err(self.failed("open"))?;
        // Two that write and rotate the same files would lose each other's. It is free again when the
        // file is closed, however the process ends.
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            let why = "another recorder writes to it";
            return Err(self.failed("open")(io::Error::other(why)));
        }
        let whole = end_of_lines(&mut file).map_err(self.failed("read"))?;
        Ok((file, whole))
    }

    /// Writes a report, all of it or nothing.
    pub(super) fn write(&mut self, report: &Report) -> Result<(), FileError> {
        let mut line = escaping::to_vec(report)
            .map_err(io::Error::from)
            .map_err(self.failed("write a report to"))?;
        line.push(b'\n');
        let (mut file, mut length) = match self.open.take() {
            Some(open) => open,
            None => self.reopen()?,
        };
        let is_full = length > 0
            && length.saturating_add(line.len() as u64) > self.rotation.max_bytes
            // A pipe or a terminal is never full, and not to be renamed.
            && file.metadata().is_ok_and(|it| it.is_file());
        if is_full {
            drop(file);
            self.rotate()?;
            (file, length) = self.reopen()?;
        }
        if let Err(error) = file.write_all(&line) {
            // Half a line may be there, where the disk is full.
            let ours = length..length + line.len() as u64;
            let is_whole = match file.metadata() {
                Ok(it) if it.len() == length => true,
                Ok(it) if ours.contains(&it.len()) => file.set_len(length).is_ok(),
                _ => false,
            };
            // With its lock, if it can be.
            self.open = is_whole.then_some((file, length));
            return Err(self.failed("write to")(error));
        }
        self.open = Some((file, length + line.len() as u64));
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
