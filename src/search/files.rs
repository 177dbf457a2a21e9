//! Files of reports, read while a recorder writes and rotates them.

use std::fs::{File, Metadata};
use std::io::{self, BufRead, BufReader, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The files of a recorder: the present one, and those before it, with `.1`, `.2` and so on appended.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    path: PathBuf,
    /// The most files that are kept.
    most: u32,
}

/// Longer lines are passed over.
const MOST_LINE: usize = 16 << 20;

impl Files {
    pub(crate) fn new(path: PathBuf, most: u32) -> Self {
        Self { path, most }
    }

    /// Opens the files, the newest first. Those that are removed meanwhile are left out, and so is what is no regular
    /// file: to read a pipe would take from its reader.
    ///
    /// Rotation gives files higher numbers only. So a file that is renamed meanwhile is opened once or twice, and
    /// the second time it is known.
    pub(crate) fn open(&self) -> Vec<OpenFile> {
        let mut files: Vec<OpenFile> = Vec::new();
        for number in 0..self.most.max(1) {
            let path = match number {
                0 => self.path.clone(),
                number => before(&self.path, number),
            };
            match OpenFile::open(&path) {
                Ok(Some(file)) if files.iter().any(|it| it.is_same(&file)) => {}
                Ok(Some(file)) => files.push(file),
                // The present one is created when it is written.
                Ok(None) | Err(_) if number == 0 => {}
                Ok(None) | Err(_) => break,
            }
        }
        files
    }
}

/// Returns the path of an earlier file.
fn before(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

/// A file of reports, as long as it was when it was opened.
pub(crate) struct OpenFile {
    file: File,
    metadata: Metadata,
}

impl OpenFile {
    fn open(path: &Path) -> io::Result<Option<Self>> {
        // Before it is opened: that would wait for a pipe's writer.
        if !path.metadata()?.is_file() {
            return Ok(None);
        }
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        Ok(metadata.is_file().then_some(Self { file, metadata }))
    }

    #[cfg(unix)]
    fn is_same(&self, other: &Self) -> bool {
        use std::os::unix::fs::MetadataExt as _;
        let id = |it: &Metadata| (it.dev(), it.ino());
        id(&self.metadata) == id(&other.metadata)
    }

    #[cfg(not(unix))]
    fn is_same(&self, other: &Self) -> bool {
        let created = |it: &Metadata| it.created().ok();
        created(&self.metadata).is_some() && created(&self.metadata) == created(&other.metadata)
    }

    fn bytes(&self) -> u64 {
        self.metadata.len()
    }
}

/// How much of the files was searched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// The files that were searched to their ends, and all files.
    pub(crate) files: usize,
    pub(crate) of_files: usize,
    pub(crate) bytes: u64,
    pub(crate) of_bytes: u64,
    /// Lines that are no reports, or too long, among those that were looked at.
    pub(crate) unreadable: u64,
}

impl Progress {
    pub(crate) fn is_all(&self) -> bool {
        self.files == self.of_files
    }
}

/// What became of a line.
pub(super) enum Line {
    Read,
    Unreadable,
}

/// Calls `look` with each whole line of the files until it breaks or the time is over. A last line without an end is
/// being written.
pub(super) fn each_line(
    files: &[OpenFile],
    time: Duration,
    mut look: impl FnMut(&[u8]) -> ControlFlow<(), Line>,
) -> Progress {
    let end = Instant::now().checked_add(time);
    let is_over = || end.is_some_and(|end| Instant::now() >= end);
    let mut progress = Progress {
        of_files: files.len(),
        of_bytes: files.iter().map(OpenFile::bytes).sum(),
        ..Progress::default()
    };
    let mut line = Vec::new();
    for open in files {
        let mut input = BufReader::with_capacity(256 << 10, (&open.file).take(open.bytes()));
        loop {
            if is_over() {
                return progress;
            }
            line.clear();
            // A file that can't be read is as one that ends here.
            let Ok(read) = next_line(&mut input, &mut line) else {
                progress.unreadable += 1;
                break;
            };
            if read == 0 {
                break;
            }
            progress.bytes += read;
            if line.trim_ascii().is_empty() {
                continue;
            }
            if !line.ends_with(b"\n") {
                progress.unreadable += u64::from(line.len() >= MOST_LINE);
                continue;
            }
            match look(&line) {
                ControlFlow::Continue(Line::Read) => {}
                ControlFlow::Continue(Line::Unreadable) => progress.unreadable += 1,
                ControlFlow::Break(()) => return progress,
            }
        }
        progress.files += 1;
    }
    progress
}

/// Reads a line, or the start of one that is too long, and returns how many bytes it has.
fn next_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<u64> {
    let mut read = input
        .by_ref()
        .take(MOST_LINE as u64)
        .read_until(b'\n', line)? as u64;
    if line.len() >= MOST_LINE && !line.ends_with(b"\n") {
        read += input.skip_until(b'\n')? as u64;
    }
    Ok(read)
}
