//! Reports as JSON, one to a line, and back.
//!
//! A [`Report`] is `Serialize` and `Deserialize`; [`write_line`] and [`Lines`] are for many of them,
//! as [JSON lines](https://jsonlines.org). What is read is equal to what was written.
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
//! Version 1. What is marked with "?" is left out where there is nothing to say: none, 0, false or
//! empty. A reader passes over fields that it doesn't know, so later versions may have more of them
//! under the same number; whatever takes another meaning gets another number.
//!
//! | a report has | |
//! |---|---|
//! | `tracer_report` | the version of the schema; always the first field |
//! | `request`? | where a recorder kept it: what it says of the request |
//! | `trace` | the trace's number in its process |
//! | `started_unix_ns` | when the trace began, in nanoseconds since 1970 |
//! | `elapsed_ns` | from there to the end of its last call |
//! | `grown`?, `dropped`?, `memory_bytes` | see [`Report`] |
//! | `total`? | counts of all its strands; left out where nothing was counted |
//! | `calls` | in order of start, a call after its parent |
//! | `folded`? | sums of calls beyond the trace's limits |
//!
//! | a call has | |
//! |---|---|
//! | `name`, `module`, `file`, `line` | the place in the code that opened it |
//! | `id`?, `labels`? | a string; an object whose values are strings |
//! | `parent`? | the index in `calls` of the call around it |
//! | `strand`, `thread` | numbers; `thread` is an object of `number` and `name`? |
//! | `start_ns` | since the trace began |
//! | `wall_ns`, `busy_ns` | from start to stop; while polled |
//! | `self_wall_ns`, `self_busy_ns` | the parts of those in no call inside |
//! | `total`?, `self`? | counts with and without the calls inside |
//! | `peak_bytes`? | see [`CallReport`](crate::CallReport::peak_bytes) |
//! | `outcome` | `ok`, `failed`, `panicked`, `cancelled` or `running` |
//! | `message`? | of a failed call |
//! | `compared`? | on the first call of each path, where a recorder kept it: a comparison |
//! | `moved`? | `true` if it went on within another call than the one in which it was opened |
//! | `partial`? | `true` if some figure is not known to the last |
//! | `checkpoints`? | objects of `name`, `at_ns` (since the call's start), `wall_ns` (since the one before) and `counts`? |
//!
//! | the sum of a path of folded calls has | |
//! |---|---|
//! | `name`, `module`, `file`, `line`, `parent`? | as a call |
//! | `within`? | the index in `folded` of the folded calls around them |
//! | `calls`, `running`?, `failures`?, `cancelled`? | how many |
//! | `wall_ns`, `self_wall_ns`, `busy_ns`, `self_busy_ns`, `total`?, `self`?, `moved`?, `partial`? | together |
//!
//! | a request has | |
//! |---|---|
//! | `name`, `id`?, `labels`? | its route; which it was; what else was said of it |
//! | `wall_ns`, `outcome`, `message`? | from its beginning to its end, and how it ended |
//! | `reasons` | why it was kept: strings |
//! | `compared`? | the whole of it, compared with others of its name |
//!
//! | a comparison has | |
//! |---|---|
//! | `calls`, `wall_ns`, `allocates`? | those of its path in this request, together |
//! | `of`, `requests` | how many requests were looked at, and in how many of them there were some |
//! | `usual_calls`, `usual_wall_ns`, `usual_allocates`? | `p50`, `p95`, `p99` and `max` over all requests, also those without such a call |
//!
//! Counts are objects of `allocations`, `reallocations`, `deallocations`, `bytes_allocated` and
//! `bytes_deallocated`. With [jq](https://jqlang.org), the slowest calls of a function:
//!
//! ```sh
//! jq -c '.calls[] | select(.name == "store" and .wall_ns > 10000000) | [.id, .wall_ns]' traces.jsonl
//! ```

mod call;
pub(crate) mod counts;
pub(crate) mod escaping;
mod folded;
mod lines;
mod list;
mod parts;
mod report;
mod request;

use std::io;

use crate::report::Report;

pub use lines::{Error, Lines};

/// Of the schema that is written, and the only one that is read.
const VERSION: u64 = 1;

/// Writes a report as one line.
///
/// The line is made first and handed over at once, so that a writer that takes all or nothing has
/// no broken lines. Characters that no terminal or editor should meet, such as those that turn the
/// direction of a text, are written as `\u202e`, which JSON reads as the character.
///
/// # Errors
///
/// Those of `out`; and if the line would be longer than [`Lines::MAX_BYTES`], which is not read.
pub fn write_line(report: &Report, mut out: impl io::Write) -> io::Result<()> {
    out.write_all(&line(report)?)
}

/// A report as a line, which is no longer than what is read.
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
