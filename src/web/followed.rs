//! What was read of files that are still written: the newest requests in memory, and how far each file was read.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::recorder::bytes_of;
use crate::report::Report;
use crate::report::json::head::Head;
use crate::search::files::{Line, OpenFile, Place, Position, each_line_from};

/// What is in the files of an [`Archive`](super::Archive).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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

/// What identifies a report: a report that is in two files is kept once.
type Key = (SystemTime, u64);

pub(super) struct Followed {
    most_bytes: usize,
    /// The files as they were when they were last read.
    files: Vec<OpenFile>,
    /// How far each was read.
    positions: Vec<Position>,
    /// The newest reports, by their beginnings.
    newest: BTreeMap<Key, Kept>,
    /// The newest of those for which there was no room.
    left_out: Option<Key>,
    /// Those in last lines without an end, which are read again.
    unended: Vec<Key>,
    /// Of lines that have an end.
    reports: u64,
    unreadable: u64,
    first_unreadable: Option<Place>,
    contents: ArchiveContents,
    /// Those of `newest`, the newest first.
    shown: Arc<[Arc<Report>]>,
}

/// A report in memory.
enum Kept {
    /// Not parsed yet.
    Line(Place, Vec<u8>),
    /// With its bytes in memory.
    Report(Arc<Report>, usize),
}

impl Followed {
    pub(super) fn new(most_bytes: usize) -> Self {
        Self {
            most_bytes,
            files: Vec::new(),
            positions: Vec::new(),
            newest: BTreeMap::new(),
            left_out: None,
            unended: Vec::new(),
            reports: 0,
            unreadable: 0,
            first_unreadable: None,
            contents: ArchiveContents::default(),
            shown: Vec::new().into(),
        }
    }

    pub(super) fn contents(&self) -> &ArchiveContents {
        &self.contents
    }

    /// Returns the reports in memory, the newest first.
    pub(super) fn newest(&self) -> Arc<[Arc<Report>]> {
        Arc::clone(&self.shown)
    }

    /// Reads what has been added to the files since the last time. If one is gone, was cut or replaced, all are read
    /// again. Returns the path of the first file that had lines to read, and no report among them.
    pub(super) fn follow(&mut self, files: Vec<OpenFile>) -> Option<PathBuf> {
        let is_as_before = files.len() == self.files.len() && { files.iter().zip(&self.files) }
            .all(|(now, before)| now.is_unchanged(before) && now.path() == before.path());
        if is_as_before && !self.files.is_empty() {
            return None;
        }
        if !self.moves_to(&files) {
            // What was read before goes first, so that both are never there.
            *self = Self::new(self.most_bytes);
            self.positions = vec![Position::default(); files.len()];
        }
        self.files = files;
        let without = self.read_on();
        without.map(|file| self.files[file].path().to_owned())
    }

    /// Gives each file its position, if only lines can have been added to those of before.
    fn moves_to(&mut self, files: &[OpenFile]) -> bool {
        let mut positions = vec![Position::default(); files.len()];
        // Where each file of before is now: rotation changes paths.
        let mut now = Vec::new();
        for (before, position) in self.files.iter().zip(&self.positions) {
            let place = files.iter().position(|file| file.is_same(before));
            let Some(place) = place.filter(|it| files[*it].continues(before, position)) else {
                return false;
            };
            positions[place] = position.clone();
            now.push(place);
        }
        self.positions = positions;
        if let Some(first) = &mut self.first_unreadable {
            first.file = now[first.file];
        }
        true
    }

    fn read_on(&mut self) -> Option<usize> {
        for key in std::mem::take(&mut self.unended) {
            self.newest.remove(&key);
        }
        let mut positions = std::mem::take(&mut self.positions);
        let files = std::mem::take(&mut self.files);
        // Whether each has reports, and other lines.
        let mut has = vec![(false, false); files.len()];
        let mut lines = Lines::default();
        let progress = each_line_from(&files, &mut positions, Duration::MAX, |line, place| {
            let is_read = self.add(line, place, &mut lines);
            let of_file = &mut has[place.file];
            ControlFlow::Continue(if is_read {
                of_file.0 = true;
                Line::Read
            } else {
                of_file.1 = true;
                if line.ends_with(b"\n") {
                    lines.is_bad(place);
                }
                Line::Unreadable
            })
        });
        self.unreadable += progress.unreadable - progress.unended;
        self.parse(&mut lines);
        let first = { lines.first_bad.into_iter() }.chain(self.first_unreadable);
        self.first_unreadable = first.min();
        for (file, position) in files.iter().zip(&mut positions) {
            position.remember(file);
        }
        let name = |it: Place| (files[it.file].path().to_owned(), it.line);
        self.contents = ArchiveContents {
            files: files.len(),
            reports: self.reports + self.unended.len() as u64,
            in_memory: self.shown.len(),
            unreadable: self.unreadable + progress.unended,
            first_unreadable: self.first_unreadable.map(name),
        };
        (self.files, self.positions) = (files, positions);
        has.iter().position(|it| *it == (false, true))
    }

    /// Adds a line, and returns whether it is a report, as far as its head tells.
    fn add(&mut self, line: &[u8], place: Place, lines: &mut Lines) -> bool {
        let Some(head) = Head::of_line(line) else {
            return false;
        };
        let key = (head.started, head.trace);
        let is_ended = line.ends_with(b"\n");
        // The head may be whole while the rest is being written.
        if !is_ended && serde_json::from_slice::<Report>(line).is_err() {
            return true;
        }
        if self.newest.contains_key(&key) {
            return true;
        }
        if is_ended {
            self.reports += 1;
        } else {
            self.unended.push(key);
        }
        if self.left_out.is_some_and(|left_out| key <= left_out) {
            return true;
        }
        lines.bytes += line.len();
        self.newest.insert(key, Kept::Line(place, line.to_owned()));
        while lines.bytes > self.most_bytes && self.newest.len() > 1 {
            let Some((key, kept)) = self.newest.pop_first() else {
                break;
            };
            self.left_out = self.left_out.max(Some(key));
            if let Kept::Line(_, line) = kept {
                lines.bytes -= line.len();
            }
        }
        true
    }

    /// Parses the lines, as long as there is room for their reports.
    fn parse(&mut self, lines: &mut Lines) {
        let (mut newest, mut shown) = (BTreeMap::new(), Vec::new());
        let mut bytes = 0;
        while let Some((key, kept)) = self.newest.pop_last() {
            let (report, size) = match kept {
                Kept::Report(report, size) => (report, size),
                Kept::Line(place, line) => {
                    let Ok(report) = serde_json::from_slice::<Report>(&line) else {
                        lines.is_bad(place);
                        self.reports -= 1;
                        self.unreadable += 1;
                        continue;
                    };
                    let size = bytes_of(&report);
                    (Arc::new(report), size)
                }
            };
            bytes += size;
            if bytes > self.most_bytes && !shown.is_empty() {
                self.left_out = self.left_out.max(Some(key));
                break;
            }
            shown.push(Arc::clone(&report));
            newest.insert(key, Kept::Report(report, size));
        }
        (self.newest, self.shown) = (newest, shown.into());
    }
}

/// The lines that are read now.
#[derive(Default)]
struct Lines {
    /// Of those in memory.
    bytes: usize,
    first_bad: Option<Place>,
}

impl Lines {
    fn is_bad(&mut self, place: Place) {
        self.first_bad = Some(self.first_bad.map_or(place, |first| first.min(place)));
    }
}
