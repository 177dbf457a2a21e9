//! Reports as JSON, one to a line, and back.
//!
//! A [`Report`] is `Serialize` and `Deserialize`. [`write_line`] and [`Lines`] write and read many of
//! them, as [JSON lines](https://jsonlines.org). A report that is read is equal to the one that was
//! written.
//!
//! ```
//! use tracer::report::json;
//! use tracer::{Trace, call};
//!
//! let trace = Trace::new();
//! let scope = trace.inject();
//! call!("first").stop();
//! drop(scope);
//! let report = trace.report();
//!
//! let mut file = Vec::new();
//! json::write_line(&report, &mut file)?;
//! json::write_line(&report, &mut file)?;
//! let read: Result<Vec<_>, _> = json::Lines::new(&file[..]).collect();
//! assert_eq!(read.unwrap(), [report.clone(), report]);
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # The schema
//!
//! Version 1. A field marked with "?" is left out if it is absent, 0, false or empty. A reader ignores
//! fields that it doesn't know, so later versions may add fields under this number. If the meaning of a
//! field changes, the number does, too.
//!
//! | a report has | |
//! |---|---|
//! | `tracer_report` | the version of the schema; always the first field |
//! | `request`? | if a recorder kept it: the request |
//! | `trace` | the trace's number in its process |
//! | `trace_id`?, `span_id`?, `parent_span`? | the ids of the trace among services, of the request, and of the caller's call: 32, 16 and 16 lower-case hexadecimal digits |
//! | `tracestate`? | what other services noted in the caller's header of that name |
//! | `started_unix_ns` | when the trace began, in nanoseconds since 1970 |
//! | `elapsed_ns` | the time from there to the end of its last call |
//! | `grown`?, `dropped`?, `memory_bytes` | see [`Report`] |
//! | `total`? | counts of all its strands; left out if nothing was counted |
//! | `net_bytes`? | the bytes that it keeps: allocated minus freed in `total`, and below 0 if more was freed |
//! | `subscriber`? | counts of a wrapped subscriber of `tracing`, which are not in `total` |
//! | `calls` | in order of start, a call after its parent |
//! | `folded`? | sums of calls beyond the trace's limits |
//! | `sites`?, `sites_not_recorded`? | if the trace records sites: those outside of all calls; counts |
//!
//! | a call has | |
//! |---|---|
//! | `name`, `module`, `file`, `line` | the place in the code that opened it |
//! | `id`?, `labels`? | a string; an object whose values are strings |
//! | `parent`? | the index in `calls` of the call around it |
//! | `span_id`? | its id within `trace_id` |
//! | `strand`, `thread` | numbers; `thread` is an object of `number` and `name`? |
//! | `start_ns` | since the trace began |
//! | `wall_ns`, `busy_ns` | the time from start to stop; the part of it in which the call was polled |
//! | `self_wall_ns`, `self_busy_ns` | the parts of those in no call inside |
//! | `total`?, `self`? | counts with and without the calls inside |
//! | `net_bytes`? | as of a report |
//! | `peak_bytes`? | see [`CallReport`](crate::CallReport::peak_bytes) |
//! | `outcome` | `ok`, `failed`, `panicked`, `cancelled` or `running` |
//! | `message`? | of a failed call |
//! | `compared`? | on the first call of each path, if a recorder kept the report: a comparison |
//! | `moved`? | `true` if it moved into another call than the one in which it was opened |
//! | `partial`? | `true` if some figure is not known exactly |
//! | `checkpoints`? | objects of `name`, `at_ns` (since the call's start), `wall_ns` (since the one before) and `counts`? |
//! | `sites`? | the places that allocated, if the trace records them |
//!
//! | sites have | |
//! |---|---|
//! | `frames` | each frame once: objects of `function`?, `file`?, `line`?, `module`?, `build_id`?, `offset`, and `unresolved`? if something is not known |
//! | `places` | the places that allocated, the heaviest first |
//!
//! | a place has | |
//! |---|---|
//! | `frames` | indexes in the `frames` of its sites, from the allocator outwards |
//! | `cut`? | `true` if the frames don't go as far as the call |
//! | `allocations`, `reallocations`?, `bytes_allocated` | figures |
//! | `error_bytes`? | the standard error of the bytes, if they are estimated |
//!
//! | the sum of a path of folded calls has | |
//! |---|---|
//! | `name`, `module`, `file`, `line`, `parent`? | as a call |
//! | `within`? | the index in `folded` of the folded calls around them |
//! | `calls`, `running`?, `failures`?, `cancelled`? | numbers of calls |
//! | `wall_ns`, `self_wall_ns`, `busy_ns`, `self_busy_ns`, `total`?, `self`?, `net_bytes`?, `moved`?, `partial`?, `sites`? | as of a call, for all of them together |
//!
//! | a request has | |
//! |---|---|
//! | `name`, `id`?, `labels`? | its route, its id, its labels |
//! | `wall_ns`, `outcome`, `message`? | the time from its beginning to its end, and how it ended |
//! | `reasons` | why it was kept: strings |
//! | `compared`? | a comparison of the whole request with others of its name |
//!
//! | a comparison has | |
//! |---|---|
//! | `calls`, `wall_ns`, `allocates`? | the sums of its path's calls in this request |
//! | `net_bytes`? | the sum of the bytes that they keep; below 0 if more was freed |
//! | `of`, `requests` | the number of requests in the baseline, and of those with such a call |
//! | `usual_calls`, `usual_wall_ns`, `usual_allocates`?, `usual_net_bytes`? | `p50`, `p95`, `p99` and `max` over all requests, also those without such a call; of kept bytes, none are below 0 |
//!
//! Counts are objects of `allocations`, `reallocations`, `deallocations`, `bytes_allocated` and
//! `bytes_deallocated`. With [jq](https://jqlang.org), the slowest calls of a function:
//!
//! ```sh
//! jq -c '.calls[] | select(.name == "store" and .wall_ns > 10000000) | [.id, .wall_ns]' traces.jsonl
//! ```

#[cfg(all(test, feature = "hotspots"))]
mod agreement;
mod call;
pub(crate) mod counts;
pub(crate) mod escaping;
mod folded;
#[cfg(feature = "web")]
pub(crate) mod head;
mod ids;
mod lines;
mod list;
mod parts;
pub(crate) mod report;
pub(crate) mod request;
mod site;
#[cfg(feature = "hotspots")]
mod sums;
mod written;

use std::io;

use crate::report::Report;

pub use lines::{Error, Lines};
#[cfg(feature = "hotspots")]
pub(crate) use sums::ToSum;

/// The version of the schema that is written, and the only one that is read.
const VERSION: u64 = 1;

/// Returns calls as they are in a report's JSON.
#[cfg(feature = "web")]
pub(crate) fn calls(calls: &[crate::report::CallReport]) -> impl serde::Serialize + '_ {
    list::List::Written(calls)
}

/// Writes a report as one line.
///
/// The line is made first and written at once, so a writer that takes all or nothing has no broken
/// lines. Characters that are unsafe to show, such as those that change the direction of a text, are
/// written as `\u202e`, which JSON reads as the character.
///
/// # Errors
///
/// Returns the errors of `out`, and an error if the line would be longer than [`Lines::MAX_BYTES`],
/// which is not read.
pub fn write_line(report: &Report, mut out: impl io::Write) -> io::Result<()> {
    out.write_all(&line(report)?)
}

/// Returns a report as a line, which is at most as long as the lines that are read.
pub(crate) fn line(report: &Report) -> io::Result<Vec<u8>> {
    let mut line = escaping::to_vec(report)?;
    let most = Lines::<&[u8]>::MAX_BYTES;
    if line.len() > most {
        let why = format!(
            "the report has {} bytes: expected {most} at most",
            line.len()
        );
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    line.push(b'\n');
    Ok(line)
}
