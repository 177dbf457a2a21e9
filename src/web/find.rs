//! Finds kept requests in memory and in files.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime};

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::report::Report;
use crate::report::json::report::unix_ns;
use crate::report::units::{bytes, plural};
use crate::search::Query;
use crate::search::files::{OpenFile, Progress};
use crate::search::found::{Found, Order, Search, report_in};
use crate::search::parse::QueryError;

use super::layout::shown;
use super::{Asked, Mounted, Refused};

/// How many searches of files run at once; a search takes a thread and the memory of a line.
const AT_ONCE: u32 = 2;
/// How long a search of files takes at most.
const MOST_TIME: Duration = Duration::from_secs(5);

/// How many searches of files run.
#[derive(Clone, Default)]
pub(super) struct Searches(Arc<AtomicU32>);

/// A search that runs, until it is dropped.
struct Running<'a>(&'a AtomicU32);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Searches {
    fn begin(&self) -> Option<Running<'_>> {
        let one_more = |running: u32| (running < AT_ONCE).then(|| running + 1);
        let begun = self.0.fetch_update(Relaxed, Relaxed, one_more);
        begun.is_ok().then(|| Running(&self.0))
    }
}

/// How far the files were searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InFiles {
    /// There are none, or they were not wanted.
    None,
    /// They were not searched, because others are searching.
    Busy,
    Searched(Progress),
}

/// What was found: the first requests, how many there are in all, and how far the files were searched.
pub(super) struct Results {
    pub(super) found: Vec<Found>,
    pub(super) matched: u64,
    pub(super) in_files: InFiles,
}

impl Mounted {
    /// Looks into the files, if there are any.
    fn in_files(&self, look: impl FnOnce(&[OpenFile]) -> Progress) -> InFiles {
        let files = self.source.open_files();
        if files.is_empty() {
            return InFiles::None;
        }
        match self.searches.begin() {
            Some(_running) => InFiles::Searched(look(&files)),
            None => InFiles::Busy,
        }
    }

    /// Finds the first requests in this order, `most` of them.
    pub(super) fn find(
        &self,
        query: &Query,
        now: SystemTime,
        order: Order,
        most: usize,
        with_files: bool,
    ) -> Results {
        let mut search = Search::new(query, now, order, most);
        search.memory(&self.source.kept());
        let in_files = if with_files {
            self.in_files(|files| search.files(files, MOST_TIME))
        } else {
            InFiles::None
        };
        let (found, matched) = search.finish();
        Results {
            found,
            matched,
            in_files,
        }
    }

    /// Returns the report of a trace that began at this time, in nanoseconds since 1970, from a file.
    pub(super) fn report_in_files(
        &self,
        trace: u64,
        started_unix_ns: i64,
    ) -> (Option<Report>, InFiles) {
        let mut report = None;
        let in_files = self.in_files(|files| {
            let (found, progress) = report_in(files, trace, started_unix_ns, MOST_TIME);
            report = found;
            progress
        });
        (report, in_files)
    }

    /// Returns the beginning of a request, in nanoseconds since 1970, if it is not in the memory of a recorder: then it is
    /// needed to find it, as in [`path_of`](Self::path_of).
    pub(super) fn started_of(&self, report: &Report) -> Option<i64> {
        let started = unix_ns(report.started);
        let is_in_memory = || self.source.get(report.trace, Some(started)).is_some();
        let is_recorded = self.source.recorder().is_some() && is_in_memory();
        (!is_recorded).then_some(started)
    }

    /// Returns the path of a request's page. That of one in a file has the time of its beginning, since other
    /// processes have given the trace's number to other requests.
    pub(super) fn path_of(&self, trace: u64, started: SystemTime, is_in_memory: bool) -> String {
        if is_in_memory && self.source.recorder().is_some() {
            format!("/trace/{trace}")
        } else {
            format!("/trace/{trace}?started={}", unix_ns(started))
        }
    }

    pub(super) fn path_of_found(&self, found: &Found) -> String {
        let Found { head, is_in_memory } = found;
        self.path_of(head.trace, head.started, *is_in_memory)
    }
}

/// Redirects to the request with this id.
pub(super) fn by_id(page: &Mounted, asked: &Asked) -> Result<Response, Refused> {
    go(page, asked, "/id/", "a request's id", "id")
}

/// Redirects to the request of this trace.
pub(super) fn by_trace_id(page: &Mounted, asked: &Asked) -> Result<Response, Refused> {
    go(page, asked, "/trace-id/", "a trace's id", "trace_id")
}

/// Redirects to the only request that has what stands `after` this in the path as its `parameter`, or to the list of
/// several.
fn go(
    page: &Mounted,
    asked: &Asked,
    after: &str,
    expected: &str,
    parameter: &str,
) -> Result<Response, Refused> {
    let id = asked.rest(after)?;
    if id.trim().is_empty() {
        let why = format!("expected {after} and {expected}");
        return Err(Refused(StatusCode::BAD_REQUEST, why));
    }
    let query = Query::new().with(parameter, &id)?;
    let now = SystemTime::now();
    let mut results = page.find(&query, now, Order::NEWEST, 2, false);
    if results.matched == 0 {
        results = page.find(&query, now, Order::NEWEST, 2, true);
    }
    let there = match &results.found[..] {
        [] => return Err(nothing(&query, results.in_files)),
        [one] => page.path_of_found(one),
        [..] => format!("/search?{query}"),
    };
    let format = if asked.get("format").is_some() {
        let gap = if there.contains('?') { '&' } else { '?' };
        format!("{gap}format=json")
    } else {
        String::new()
    };
    let there = [(header::LOCATION, asked.link(&format!("{there}{format}")))];
    Ok((StatusCode::SEE_OTHER, there).into_response())
}

fn nothing(query: &Query, in_files: InFiles) -> Refused {
    let (name, value) = query.parameters().next().unwrap_or(("id", String::new()));
    let what = match name {
        "trace_id" => "trace id",
        _ => "id",
    };
    let why = format!("No kept request has the {what} “{}”", shown(&value));
    missing(&why, in_files)
}

/// Makes the error of something that is neither in memory nor in the files.
pub(super) fn missing(why: &str, in_files: InFiles) -> Refused {
    match in_files {
        InFiles::None => Refused(StatusCode::NOT_FOUND, format!("{why} in memory.")),
        InFiles::Busy => Refused(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("{why} in memory, and other searches read the files: try again in a moment."),
        ),
        InFiles::Searched(progress) => {
            let searched = searched(progress);
            Refused(
                StatusCode::NOT_FOUND,
                format!("{why} in memory or in the files: {searched}."),
            )
        }
    }
}

/// Tells how far the files were searched: `searched 3 of 5 files`.
pub(super) fn searched(progress: Progress) -> String {
    let of = plural(progress.of_files as u64, "file");
    let time = (!progress.is_all()).then(|| {
        let (read, of) = (bytes(progress.bytes), bytes(progress.of_bytes));
        format!(", {read} of {of}, as the time for a search was over")
    });
    let unreadable = (progress.unreadable > 0).then(|| {
        let lines = plural(progress.unreadable, "line");
        format!(", {lines} could not be read")
    });
    let (time, unreadable) = (time.unwrap_or_default(), unreadable.unwrap_or_default());
    format!("searched {} of {of}{time}{unreadable}", progress.files)
}

impl From<QueryError> for Refused {
    fn from(error: QueryError) -> Self {
        let message = error.to_string();
        let mut characters = message.chars();
        let first = characters.next().into_iter().flat_map(char::to_uppercase);
        Self(
            StatusCode::BAD_REQUEST,
            first.chain(characters).chain(['.']).collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_searches_of_files_run_at_once() {
        let searches = Searches::default();
        let (one, two) = (searches.begin(), searches.begin());
        assert!(one.is_some() && two.is_some() && searches.clone().begin().is_none());
        drop(two);
        assert!(searches.begin().is_some());
    }

    #[test]
    fn what_was_not_searched_is_told() {
        let progress = Progress {
            files: 3,
            of_files: 5,
            bytes: 1 << 20,
            of_bytes: 3 << 20,
            unreadable: 1,
            unended: 0,
        };
        assert_eq!(
            searched(progress),
            "searched 3 of 5 files, 1.00 MiB of 3.00 MiB, as the time for a search was over, 1 line could not be read"
        );
    }
}
