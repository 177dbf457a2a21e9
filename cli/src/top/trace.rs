//! One trace that is open: its tree as lines, and which of them are shown.

use std::collections::HashMap;

use tracer::Report;

use super::keys::Motion;
use super::model::{Key, Problem};
use super::rows::contains;
use super::text::{self, Look};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) text: String,
    pub(crate) look: Look,
}

pub(crate) struct OpenTrace {
    pub(crate) key: Key,
    /// A line above the tree, if the report has no request.
    title: Option<String>,
    /// Not there yet, unless it is that of a request in flight, which is shown as it was when it was opened.
    report: Option<Report>,
    pub(crate) problem: Option<Problem>,
    pub(crate) lines: Vec<Line>,
    /// The width for which the lines were made.
    width: usize,
    /// Whether each of several equal calls has a line of its own.
    pub(crate) is_unfolded: bool,
    /// Whether there are such calls.
    pub(crate) is_foldable: bool,
    /// The first line and the first column that are shown.
    pub(crate) top: usize,
    pub(crate) left: usize,
    /// The line that was found.
    pub(crate) found: Option<usize>,
}

/// Columns by which a trace is scrolled sideways.
const SIDEWAYS: usize = 8;

/// As the width, before the lines are made.
const NOT_LAID_OUT: usize = usize::MAX;

/// The most lines that the request takes above its tree.
const MOST_OF_REQUEST: usize = 4;

impl OpenTrace {
    pub(crate) fn kept(key: Key) -> Self {
        Self {
            key,
            title: None,
            report: None,
            problem: None,
            lines: Vec::new(),
            width: NOT_LAID_OUT,
            is_unfolded: false,
            is_foldable: false,
            top: 0,
            left: 0,
            found: None,
        }
    }

    pub(crate) fn running(key: Key, title: &str, report: Report) -> Self {
        Self {
            title: Some(format!("{title}: in flight, as it was when it was opened")),
            report: Some(report),
            ..Self::kept(key)
        }
    }

    pub(crate) fn take(&mut self, report: Result<Report, Problem>) {
        match report {
            Ok(report) => {
                (self.report, self.problem) = (Some(report), None);
                self.width = NOT_LAID_OUT;
            }
            Err(problem) => self.problem = Some(problem),
        }
    }

    pub(crate) fn is_there(&self) -> bool {
        self.report.is_some()
    }

    /// Makes the lines, if the width has changed. The line at the top stays, or is the last one before it that is still
    /// there.
    pub(crate) fn lay_out(&mut self, width: usize) {
        let Some(report) = self.report.as_ref().filter(|_| self.width != width) else {
            return;
        };
        self.width = width;
        let tree = || report.tree().colour(true).within(width);
        let unfolded = tree().unfolded().to_string();
        let folded = tree().to_string();
        // Of as many lines, none is of several calls.
        self.is_foldable = folded.lines().count() != unfolded.lines().count();
        let tree = if self.is_unfolded { unfolded } else { folded };
        let title = self.title.iter().map(|title| Line {
            text: title.clone(),
            look: Look::Plain,
        });
        let before = std::mem::replace(&mut self.lines, title.collect());
        let mut lines = tree.lines();
        if report.request.is_some() {
            // The line of the request, which may have a long message.
            let of_request = lines.next().unwrap_or_default();
            let needed = text::width(of_request).div_ceil(width.max(1));
            let wrapped = text::wrapped(of_request, width, needed.clamp(1, MOST_OF_REQUEST));
            self.lines.extend(wrapped.map(|it| line(&it)));
        }
        self.lines.extend(lines.map(line));
        self.top = same_line(&before, self.top, &self.lines);
        self.found = None;
    }

    /// Unfolds the lines of several calls, or folds them.
    pub(crate) fn unfold(&mut self, yes: bool) {
        if self.is_foldable && self.is_unfolded != yes {
            self.is_unfolded = yes;
            let width = std::mem::replace(&mut self.width, NOT_LAID_OUT);
            self.lay_out(width);
        }
    }

    pub(crate) fn moved(&mut self, motion: Motion, page: usize) {
        let last = self.lines.len().saturating_sub(page);
        self.top = motion.from(self.top, page, last);
        match motion {
            Motion::Left => self.left = self.left.saturating_sub(SIDEWAYS),
            Motion::Right => {
                let longest = self.lines.iter().map(|it| it.text.chars().count()).max();
                self.left = (self.left + SIDEWAYS).min(longest.unwrap_or(0));
            }
            Motion::First => self.left = 0,
            _ => {}
        }
    }

    /// Goes to the next line with the text, from so many lines after the one that was found before.
    pub(crate) fn find(&mut self, text: &str, skipped: usize) {
        if text.is_empty() {
            self.found = None;
            return;
        }
        let count = self.lines.len();
        let begin = self.found.map_or(self.top, |found| found + skipped);
        let mut places = (0..count).map(|step| (begin + step) % count);
        self.found = places.find(|place| contains(&self.lines[*place].text, text));
        if let Some(found) = self.found {
            // Not at the very top, so that the calls around are seen, too.
            self.top = found.saturating_sub(2);
        }
    }
}

/// Returns the place of a line among those of another layout, or of the last one before it that is among them.
fn same_line(before: &[Line], place: usize, now: &[Line]) -> usize {
    let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
    for (place, name) in names_of(now).into_iter().enumerate() {
        places.entry(name).or_default().push(place);
    }
    let before = names_of(before);
    let candidates = before.iter().take(place + 1).enumerate().rev();
    let mut same = candidates.filter_map(|(place, name)| {
        let same = places.get(name)?;
        // Of equal ones, the one that is as many from the top.
        let number = before[..place].iter().filter(|it| *it == name).count();
        same.get(number).or(same.last()).copied()
    });
    same.next().unwrap_or(0)
}

/// Returns the lines without the figures, whose columns are as wide as those that are shown.
fn names_of(lines: &[Line]) -> Vec<&str> {
    let heading = lines.iter().find(|line| line.text.ends_with("  call"));
    let figures = heading.map_or(0, |line| line.text.len() - "call".len());
    let name = |line: &'_ Line| {
        let places = line.text.char_indices().nth(figures);
        places.map_or(0, |(place, _)| place)
    };
    { lines.iter() }
        .map(|line| &line.text[name(line)..])
        .collect()
}

/// Reads a line of the coloured tree: a sequence for the whole line, or none. Text from outside is escaped there.
fn line(text: &str) -> Line {
    let coloured = text
        .strip_prefix("\x1b[")
        .and_then(|rest| rest.split_once('m'));
    let Some((colour, rest)) = coloured else {
        return Line {
            text: text.to_owned(),
            look: Look::Plain,
        };
    };
    Line {
        text: rest.trim_end_matches("\x1b[0m").to_owned(),
        look: match colour {
            "1" => Look::Heavy,
            "31" => Look::Bad,
            "2" => Look::Faint,
            _ => Look::Plain,
        },
    }
}
