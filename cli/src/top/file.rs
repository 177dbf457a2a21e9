//! A file of reports as the source: what has been appended is read at the next look.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tracer::__command::{count, unix_ns};
use tracer::Report;

use super::model::{InFlight, Kept, Key, Overview, Problem, Route, Source, Totals};
use super::text::escaped;

/// Longer lines are passed over.
const MOST_BYTES: u64 = 64 << 20;
/// How many bytes at the beginning, and how many before the offset, are compared.
const SAMPLED: u64 = 4096;
/// How long one look reads.
const SLICE: Duration = Duration::from_millis(500);
/// Number of requests that are listed, of all and of each route.
const MOST_LISTED: usize = 1000;
const MOST_OF_ROUTE: usize = 100;
/// Requests of further names count as of one route.
const MOST_ROUTES: usize = 500;
const OTHERS: &str = "(other names)";

pub(crate) struct Reports {
    path: PathBuf,
    input: BufReader<File>,
    /// What names the file, if another one may take its path.
    identity: Identity,
    /// What was at its beginning and before the offset, when it was read.
    sample: Vec<u8>,
    read: ReadSoFar,
}

/// What was read of a file.
#[derive(Default)]
struct ReadSoFar {
    /// Where the next line begins.
    offset: u64,
    lines: u64,
    unreadable: u64,
    /// The first line that is not a report, and why.
    first_unreadable: Option<String>,
    routes: BTreeMap<String, Sums>,
    newest: Newest,
    failures: Newest,
    is_counted: bool,
}

/// The kept requests of a route.
struct Sums {
    ended: u64,
    failed: u64,
    wall_ns: Histogram<u32>,
    allocates: Histogram<u32>,
    newest: Newest,
}

/// The requests that began last, by their beginning.
#[derive(Default)]
struct Newest(BTreeMap<Key, Arc<Placed>>);

/// A request and where its line begins.
struct Placed {
    kept: Kept,
    offset: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Identity(Option<(u64, u64)>);

impl Identity {
    #[cfg(unix)]
    fn of(metadata: &std::fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        Self(Some((metadata.dev(), metadata.ino())))
    }

    #[cfg(not(unix))]
    fn of(_: &std::fs::Metadata) -> Self {
        Self(None)
    }
}

impl Newest {
    fn add(&mut self, placed: &Arc<Placed>, most: usize) {
        self.0.insert(placed.kept.key, Arc::clone(placed));
        if self.0.len() > most {
            self.0.pop_first();
        }
    }

    fn list(&self) -> Vec<Kept> {
        self.0.values().rev().map(|it| it.kept.clone()).collect()
    }
}

impl Sums {
    fn new() -> Self {
        let new = || Histogram::new(3).expect("3 digits are supported");
        Self {
            ended: 0,
            failed: 0,
            wall_ns: new(),
            allocates: new(),
            newest: Newest::default(),
        }
    }
}

impl Reports {
    /// Opens a file.
    ///
    /// # Errors
    ///
    /// If there is none, or it has not one report per line but something else.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        // Before it is opened: that would wait for a pipe's writer.
        if !path.metadata()?.is_file() {
            let why = "expected a file with one report per line, or the address of a page";
            return Err(io::Error::other(why));
        }
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        Ok(Self {
            path: path.to_owned(),
            input: BufReader::with_capacity(1 << 20, file),
            identity: Identity::of(&metadata),
            sample: Vec::new(),
            read: ReadSoFar::default(),
        })
    }

    fn problem(&self, why: &dyn std::fmt::Display) -> Problem {
        let text = format!("{}: {why}", self.path.display());
        Problem(escaped(&text))
    }

    /// Begins again if another file has taken the path, or if this one was cut.
    fn follow(&mut self) -> io::Result<u64> {
        let metadata = std::fs::metadata(&self.path)?;
        let length = metadata.len();
        // A file that was cut and written again may be longer than before.
        if Identity::of(&metadata) != self.identity
            || length < self.read.offset
            || self.sample()? != self.sample
        {
            *self = Self::open(&self.path)?;
        }
        Ok(length)
    }

    /// Reads what is at the beginning and before the offset.
    fn sample(&self) -> io::Result<Vec<u8>> {
        let (mut file, end) = (self.input.get_ref(), self.read.offset);
        let mut sample = Vec::new();
        for from in [0, end.saturating_sub(SAMPLED)] {
            file.seek(SeekFrom::Start(from))?;
            file.take(SAMPLED.min(end - from))
                .read_to_end(&mut sample)?;
        }
        Ok(sample)
    }

    /// Reads on, for a while. Returns whether there is more.
    fn read_on(&mut self, length: u64) -> io::Result<bool> {
        let begun = Instant::now();
        self.input.seek(SeekFrom::Start(self.read.offset))?;
        let mut line = Vec::new();
        while self.read.offset < length {
            line.clear();
            let mut limited = self.input.by_ref().take(MOST_BYTES);
            let mut size = limited.read_until(b'\n', &mut line)? as u64;
            let is_whole = line.ends_with(b"\n");
            let is_too_long = !is_whole && size == MOST_BYTES;
            if is_too_long {
                line = Vec::new();
                size += self.input.skip_until(b'\n')? as u64;
            }
            let report = serde_json::from_slice::<Report>(&line);
            if report.is_err() && !is_whole && !is_too_long {
                // Its writer has not finished it.
                return Ok(false);
            }
            self.read.lines += u64::from(is_whole || is_too_long);
            let why = match report {
                Ok(report) => {
                    self.read.add(&report);
                    None
                }
                Err(_) if is_too_long => Some(format!("more than {} MiB", MOST_BYTES >> 20)),
                Err(_) if line.trim_ascii().is_empty() => None,
                Err(why) => {
                    let text = why.to_string();
                    let text = text.split(" at line ").next().unwrap_or_default();
                    Some(format!("column {}: {}", why.column(), escaped(text)))
                }
            };
            if let Some(why) = why {
                self.read.unreadable += 1;
                let number = self.read.lines;
                let first = || format!("line {number}, {why}");
                self.read.first_unreadable.get_or_insert_with(first);
            }
            self.read.offset += size;
            if begun.elapsed() >= SLICE {
                return Ok(self.read.offset < length);
            }
        }
        Ok(false)
    }
}

impl ReadSoFar {
    fn add(&mut self, report: &Report) {
        let kept = kept(report);
        self.is_counted |= kept.allocates.is_some();
        let is_new = !self.routes.contains_key(&kept.route);
        let name = if is_new && self.routes.len() >= MOST_ROUTES {
            OTHERS.to_owned()
        } else {
            kept.route.clone()
        };
        let sums = self.routes.entry(name).or_insert_with(Sums::new);
        sums.ended += 1;
        sums.failed += u64::from(kept.is_failure());
        let wall_ns = u64::try_from(kept.wall.as_nanos()).unwrap_or(u64::MAX);
        record(&mut sums.wall_ns, wall_ns);
        if let Some(allocates) = kept.allocates {
            record(&mut sums.allocates, allocates);
        }
        let offset = self.offset;
        let placed = Arc::new(Placed { kept, offset });
        sums.newest.add(&placed, MOST_OF_ROUTE);
        self.newest.add(&placed, MOST_LISTED);
        if placed.kept.is_failure() {
            self.failures.add(&placed, MOST_LISTED);
        }
    }

    fn place(&self, key: Key) -> Option<u64> {
        let lists = [&self.newest, &self.failures].into_iter();
        let mut lists = lists.chain(self.routes.values().map(|it| &it.newest));
        lists.find_map(|list| list.0.get(&key).map(|it| it.offset))
    }

    fn overview(&self, length: u64, has_more: bool) -> Overview {
        let mut notes = Vec::new();
        if has_more {
            let percent = self.offset.saturating_mul(100) / length.max(1);
            notes.push(format!("read so far: {percent} %"));
        }
        if let Some(first) = &self.first_unreadable {
            let unreadable = count(self.unreadable);
            notes.push(format!("lines that are no reports: {unreadable}; {first}"));
        }
        let routes: Vec<_> = self
            .routes
            .iter()
            .map(|(name, it)| it.route(name))
            .collect();
        let ended = routes.iter().map(|it| it.ended).sum();
        Overview {
            is_counted: self.is_counted,
            totals: Totals {
                ended,
                kept: ended,
                ..Totals::default()
            },
            routes,
            newest: self.newest.list(),
            failures: self.failures.list(),
            note: (!notes.is_empty()).then(|| notes.join(" · ")),
            has_more,
        }
    }
}

impl Sums {
    fn route(&self, name: &str) -> Route {
        let wall = |part| Some(Duration::from_nanos(self.wall_ns.value_at_quantile(part)));
        let is_counted = !self.allocates.is_empty();
        Route {
            name: name.to_owned(),
            ended: self.ended,
            failed: self.failed,
            p50: wall(0.5),
            p99: wall(0.99),
            allocates: is_counted.then(|| self.allocates.value_at_quantile(0.5)),
            in_flight: 0,
            kept: self.ended,
        }
    }
}

impl Source for Reports {
    fn overview(&mut self) -> Result<Overview, Problem> {
        let read = self.follow().and_then(|length| {
            let has_more = self.read_on(length)?;
            self.sample = self.sample()?;
            Ok((length, has_more))
        });
        let (length, has_more) = read.map_err(|why| self.problem(&why))?;
        Ok(self.read.overview(length, has_more))
    }

    fn in_flight(&mut self) -> Result<InFlight, Problem> {
        Ok(InFlight::default())
    }

    fn route(&mut self, name: &str) -> Result<Vec<Kept>, Problem> {
        let sums = self.read.routes.get(name);
        Ok(sums.map(|it| it.newest.list()).unwrap_or_default())
    }

    fn trace(&mut self, key: Key) -> Result<Report, Problem> {
        let changed = "the file has changed: expected the report where it was read before";
        let Some(offset) = self.read.place(key) else {
            return Err(self.problem(&changed));
        };
        let mut line = Vec::new();
        let read = self.input.seek(SeekFrom::Start(offset)).and_then(|_| {
            let mut limited = self.input.by_ref().take(MOST_BYTES);
            limited.read_until(b'\n', &mut line)
        });
        read.map_err(|why| self.problem(&why))?;
        let report: Option<Report> = serde_json::from_slice(&line).ok();
        let report = report.filter(|report| kept(report).key == key);
        report.ok_or_else(|| self.problem(&changed))
    }
}

/// Adds a figure. One that is beyond what is believable counts as 2^60, which for times are 36 years.
fn record(histogram: &mut Histogram<u32>, figure: u64) {
    // The histogram grows as needed, up to this.
    let added = histogram.record(figure.min(1 << 60));
    debug_assert!(added.is_ok(), "{added:?}");
}

fn kept(report: &Report) -> Kept {
    let request = report.request.as_deref();
    let first = report.calls.first().map(|it| it.name.as_ref());
    let route = request.map_or_else(|| first.unwrap_or("(no call)"), |it| &it.name);
    Kept {
        key: Key {
            started_unix_ns: unix_ns(report.started),
            trace: report.trace,
        },
        route: route.to_owned(),
        id: request.and_then(|it| it.id.clone()),
        wall: request.map_or(report.elapsed, |it| it.wall),
        allocates: report.total.map(|it| it.allocates()),
        bytes: report.total.map(|it| it.bytes_allocated),
        outcome: report.outcome().clone(),
        reasons: request.map(|it| it.reasons.clone()).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn line(trace: u64, started: u64, wall_ns: u64, outcome: &str) -> String {
        format!(
            r#"{{"tracer_report":1,"request":{{"name":"GET /a","wall_ns":{wall_ns},"outcome":"{outcome}","reasons":[]}},"trace":{trace},"started_unix_ns":{started},"elapsed_ns":{wall_ns},"memory_bytes":4096,"calls":[]}}"#
        ) + "\n"
    }

    fn traces(overview: &Overview) -> Vec<u64> {
        overview.newest.iter().map(|it| it.key.trace).collect()
    }

    #[test]
    fn a_file_that_grows_is_read_on_and_one_that_is_rotated_from_its_beginning() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("traces.jsonl");
        let half = line(3, 3000, 1000, "ok");
        let (begin, end) = half.split_at(20);
        let whole =
            line(1, 1000, 2000, "failed") + "no\u{1b} report\n" + &line(2, 2000, 2000, "ok");
        std::fs::write(&path, whole + begin).unwrap();
        let mut reports = Reports::open(&path).unwrap();
        let overview = reports.overview().unwrap();
        assert_eq!(traces(&overview), [2, 1]);
        assert_eq!(overview.failures.len(), 1);
        assert_eq!(
            overview.note.as_deref(),
            Some("lines that are no reports: 1; line 2, column 2: expected ident")
        );
        let mut file = File::options().append(true).open(&path).unwrap();
        file.write_all(end.as_bytes()).unwrap();
        let overview = reports.overview().unwrap();
        assert_eq!(traces(&overview), [3, 2, 1]);
        let route = &overview.routes[0];
        assert_eq!((route.ended, route.failed, route.kept), (3, 1, 3));
        let us = |time: u64| Some(Duration::from_micros(time));
        assert_eq!((route.p50, route.p99), (us(2), us(2)));
        let key = overview.newest[2].key;
        assert_eq!(reports.trace(key).unwrap().trace, 1);
        assert_eq!(reports.route("GET /a").unwrap().len(), 3);

        // Another file takes its place, and then it is cut.
        let other = folder.path().join("other");
        std::fs::write(
            &other,
            line(4, 4000, u64::MAX, "ok") + &line(5, 5000, 1, "ok"),
        )
        .unwrap();
        std::fs::rename(&other, &path).unwrap();
        assert_eq!(traces(&reports.overview().unwrap()), [5, 4]);
        let why = reports.trace(key).unwrap_err().to_string();
        assert!(
            why.ends_with("expected the report where it was read before"),
            "{why}"
        );
        std::fs::write(&path, line(6, 6000, 1, "ok").trim_end()).unwrap();
        assert_eq!(traces(&reports.overview().unwrap()), [6]);
        // Cut and written again, longer than it was.
        let longer = line(7, 7000, 1, "ok") + &line(8, 8000, 1, "ok");
        std::fs::write(&path, longer).unwrap();
        let overview = reports.overview().unwrap();
        assert_eq!((traces(&overview), overview.note), (vec![8, 7], None));
        std::fs::remove_file(&path).unwrap();
        assert!(reports.overview().is_err());
    }
}
