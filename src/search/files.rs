//! Files of reports, read while a recorder writes and rotates them.

use std::fs::{File, Metadata};
use std::io::{self, BufRead, BufReader, Read, Seek as _, SeekFrom};
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

/// No files are expected after so many numbers without one.
const MOST_MISSING: u32 = 8;
/// Longer lines are passed over.
const MOST_LINE: usize = 16 << 20;

impl Files {
    pub(crate) fn new(path: PathBuf, most: u32) -> Self {
        Self { path, most }
    }

    /// Opens the files, the newest first. Those that are removed meanwhile are left out, and so is what is no regular
    /// file: to read a pipe would take from its reader.
    ///
    /// Rotation gives files higher numbers only, from the oldest on. So a file that is renamed meanwhile is still
    /// ahead, or was just opened: then its second name is that of a known file. While one is renamed, its number
    /// is free for a moment.
    pub(crate) fn open(&self) -> Vec<OpenFile> {
        let mut files: Vec<OpenFile> = Vec::new();
        let mut missing = 0;
        for number in 0..self.most.max(1) {
            let path = match number {
                0 => self.path.clone(),
                number => before(&self.path, number),
            };
            if let Ok(Some(file)) = OpenFile::open(path) {
                missing = 0;
                file.add_to(&mut files);
            } else {
                missing += 1;
            }
            if missing > MOST_MISSING {
                break;
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
    path: PathBuf,
    file: File,
    metadata: Metadata,
}

impl OpenFile {
    /// Opens a file; `None` if it is no regular one.
    pub(crate) fn open(path: PathBuf) -> io::Result<Option<Self>> {
        // Before it is opened: that would wait for a pipe's writer.
        if !path.metadata()?.is_file() {
            return Ok(None);
        }
        let file = File::open(&path)?;
        let metadata = file.metadata()?;
        Ok(metadata.is_file().then_some(Self {
            path,
            file,
            metadata,
        }))
    }

    /// Returns the path under which it was opened.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Adds the file to others, unless it is one of them.
    pub(crate) fn add_to(self, files: &mut Vec<Self>) {
        if !files.iter().any(|it| it.is_same(&self)) {
            files.push(self);
        }
    }

    /// Returns whether both are one file.
    #[cfg(unix)]
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        use std::os::unix::fs::MetadataExt as _;
        let id = |it: &Metadata| (it.dev(), it.ino());
        id(&self.metadata) == id(&other.metadata)
    }

    #[cfg(not(unix))]
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let created = |it: &Metadata| it.created().ok();
        created(&self.metadata).is_some() && created(&self.metadata) == created(&other.metadata)
    }

    /// Returns whether the file is as it was when the other one was opened.
    pub(crate) fn is_unchanged(&self, since: &Self) -> bool {
        let state = |it: &Metadata| (it.len(), it.modified().ok());
        self.is_same(since) && state(&self.metadata) == state(&since.metadata)
    }

    /// Returns whether only lines can have been added since the other one was opened and read to this position.
    pub(crate) fn continues(&self, since: &Self, position: &Position) -> bool {
        let has_grown = self.bytes() > since.bytes() || self.is_unchanged(since);
        // A file that was cut and written again may be longer than before.
        let sample = position.sample.as_ref();
        has_grown
            && sample.is_some_and(|it| {
                self.sample_before(position.bytes)
                    .is_ok_and(|now| now == *it)
            })
    }

    fn bytes(&self) -> u64 {
        self.metadata.len()
    }

    /// Reads what is at the beginning and before a place.
    fn sample_before(&self, place: u64) -> io::Result<Vec<u8>> {
        let mut sample = Vec::new();
        let mut file = &self.file;
        for from in [0, place.saturating_sub(SAMPLED)] {
            file.seek(SeekFrom::Start(from))?;
            let bytes = SAMPLED.min(place - from);
            file.take(bytes).read_to_end(&mut sample)?;
        }
        Ok(sample)
    }
}

/// How many bytes at the beginning, and how many before a position, are compared.
const SAMPLED: u64 = 4096;

/// How far a file was read: to the end of a line.
#[derive(Clone, Debug, Default)]
pub(crate) struct Position {
    bytes: u64,
    lines: u64,
    /// What is at the beginning of the file and before the position; `None` if that was not looked at.
    sample: Option<Vec<u8>>,
}

impl Position {
    /// Remembers some of what is before it in the file, which [`OpenFile::continues`] compares.
    pub(crate) fn remember(&mut self, file: &OpenFile) {
        self.sample = file.sample_before(self.bytes).ok();
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
    /// Those of them that may become readable: lines without an end, and files of which no more could be read.
    pub(crate) unended: u64,
}

impl Progress {
    pub(crate) fn is_all(&self) -> bool {
        self.files == self.of_files
    }
}

/// The place of a line: the file's among the files that are read, and the line's number, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) file: usize,
    pub(crate) line: u64,
}

/// What became of a line.
pub(crate) enum Line {
    Read,
    Unreadable,
}

/// Calls `look` with each whole line of the files until it breaks or the time is over. A last line without an end is
/// being written, unless it is a whole report.
pub(crate) fn each_line(
    files: &[OpenFile],
    time: Duration,
    look: impl FnMut(&[u8], Place) -> ControlFlow<(), Line>,
) -> Progress {
    let mut positions = vec![Position::default(); files.len()];
    each_line_from(files, &mut positions, time, look)
}

/// As [`each_line`], from a position of each file on. Positions are moved past the last line that has an end.
pub(crate) fn each_line_from(
    files: &[OpenFile],
    positions: &mut [Position],
    time: Duration,
    mut look: impl FnMut(&[u8], Place) -> ControlFlow<(), Line>,
) -> Progress {
    let end = Instant::now().checked_add(time);
    let is_over = || end.is_some_and(|end| Instant::now() >= end);
    let mut progress = Progress {
        of_files: files.len(),
        of_bytes: files.iter().map(OpenFile::bytes).sum(),
        ..Progress::default()
    };
    let mut line = Vec::new();
    for ((file, open), position) in files.iter().enumerate().zip(positions) {
        let mut place = Place {
            file,
            line: position.lines,
        };
        let mut file = &open.file;
        if file.seek(SeekFrom::Start(position.bytes)).is_err() {
            progress.unreadable += 1;
            progress.unended += 1;
            continue;
        }
        let mut at = position.bytes;
        let rest = file.take(open.bytes().saturating_sub(at));
        let mut input = BufReader::with_capacity(256 << 10, rest);
        loop {
            if is_over() {
                return progress;
            }
            line.clear();
            // A file that can't be read is as one that ends here.
            let Ok(read) = next_line(&mut input, &mut line) else {
                progress.unreadable += 1;
                progress.unended += 1;
                break;
            };
            if read == 0 {
                break;
            }
            progress.bytes += read;
            place.line += 1;
            at += read;
            let has_newline = line.ends_with(b"\n");
            let is_too_long = !has_newline && line.len() >= MOST_LINE;
            let is_ended = has_newline || (is_too_long && at < open.bytes());
            if is_ended {
                (position.bytes, position.lines) = (at, place.line);
            }
            if line.trim_ascii().is_empty() {
                continue;
            }
            if is_too_long || !(is_ended || line.ends_with(b"}")) {
                progress.unreadable += u64::from(is_too_long);
                progress.unended += u64::from(is_too_long && !is_ended);
                continue;
            }
            match look(&line, place) {
                ControlFlow::Continue(Line::Read) => {}
                ControlFlow::Continue(Line::Unreadable) => {
                    progress.unreadable += u64::from(is_ended);
                }
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn lines(files: &[OpenFile], time: Duration) -> (Vec<String>, Progress) {
        let mut lines = Vec::new();
        let progress = each_line(files, time, |line, _| {
            lines.push(String::from_utf8_lossy(line).trim().to_owned());
            ControlFlow::Continue(Line::Read)
        });
        (lines, progress)
    }

    #[test]
    fn files_are_read_from_the_newest_on_as_far_as_they_were_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let files = Files::new(path.clone(), 5);
        assert!(files.open().is_empty());
        fs::write(&path, "1\n\n2\n3 is being wri").unwrap();
        // A number is free while its file is renamed.
        fs::write(folder.path().join("a.2"), "0\n").unwrap();
        fs::write(folder.path().join("a.5"), "too old\n").unwrap();
        fs::create_dir(folder.path().join("a.3")).unwrap();
        let open = files.open();
        let (read, progress) = lines(&open, MINUTE);
        assert_eq!(read, ["1", "2", "0"]);
        let expected = Progress {
            files: 2,
            of_files: 2,
            bytes: 21,
            of_bytes: 21,
            unreadable: 0,
            unended: 0,
        };
        assert_eq!(progress, expected);
        // Written after it was opened, or cut.
        let open = files.open();
        fs::write(&path, "1\n\n2\n3 is being written\n4\n").unwrap();
        assert_eq!(lines(&open, MINUTE).0, ["1", "2", "0"]);
        let open = files.open();
        fs::write(&path, "").unwrap();
        let (read, progress) = lines(&open, MINUTE);
        assert_eq!((read, progress.files), (vec!["0".to_owned()], 2));
        assert_eq!((progress.bytes, progress.of_bytes), (2, 28));
        // Without time.
        let open = files.open();
        let (read, progress) = lines(&open, Duration::ZERO);
        assert_eq!((read.len(), progress.files, progress.of_files), (0, 0, 2));
    }

    #[test]
    fn a_last_line_without_an_end_is_read_if_it_may_be_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "\n{1}\n\n{2}").unwrap();
        let mut places = Vec::new();
        let progress = each_line(&Files::new(path, 1).open(), MINUTE, |line, place| {
            places.push((line.to_owned(), place.line));
            ControlFlow::Continue(Line::Unreadable)
        });
        assert_eq!(places, [(b"{1}\n".to_vec(), 2), (b"{2}".to_vec(), 4)]);
        // It may be half of a line that is being written.
        assert_eq!((progress.unreadable, progress.bytes), (1, 9));
    }

    #[test]
    fn a_file_is_read_on_from_the_end_of_its_last_whole_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let open = || OpenFile::open(path.clone()).unwrap().unwrap();
        let mut positions = [Position::default()];
        let mut read_on = |file: OpenFile| {
            let mut lines = Vec::new();
            let files = [file];
            each_line_from(&files, &mut positions, MINUTE, |line, place| {
                lines.push((String::from_utf8_lossy(line).trim().to_owned(), place.line));
                ControlFlow::Continue(Line::Read)
            });
            let [file] = files;
            positions[0].remember(&file);
            (file, positions[0].clone(), lines)
        };
        let line = |text: &str, number| (text.to_owned(), number);
        fs::write(&path, "{1}\n\n{2}").unwrap();
        let (before, position, lines) = read_on(open());
        assert_eq!(lines, [line("{1}", 1), line("{2}", 3)]);
        // The last line had no end, so it is read again.
        fs::write(&path, "{1}\n\n{2}, {3}\n").unwrap();
        assert!(open().continues(&before, &position));
        let (before, position, lines) = read_on(open());
        assert_eq!(lines, [line("{2}, {3}", 3)]);
        assert!(open().continues(&before, &position));
        assert_eq!(read_on(open()).2, []);
        // Cut; and written again, longer than before.
        for text in ["{1}\n", "{1}\n\n{2}; {3}\n{4}\n", ""] {
            fs::write(&path, text).unwrap();
            assert!(!open().continues(&before, &position), "{text}");
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let long = "}".repeat(2 * MOST_LINE);
        fs::write(&path, format!("1\n{long}\n2\n{long}")).unwrap();
        let (read, progress) = lines(&Files::new(path, 1).open(), MINUTE);
        assert_eq!(read, ["1", "2"]);
        assert_eq!((progress.unreadable, progress.unended), (2, 1));
        assert_eq!(progress.files, 1);
        assert_eq!(progress.bytes, progress.of_bytes);
    }
}
