//! Finds requests among reports: by id, trace, text, route, outcome, time and size.
//!
//! A [`Query`] says what is looked for. It is the query of a URL on the page of a recorder, and what the command
//! `tracer show` has as options.
//!
//! | parameter | finds requests |
//! |---|---|
//! | `id` | with this id |
//! | `trace_id` | of this trace: 32 hexadecimal digits |
//! | `text` | with this text in an id, a label or a message of theirs or of a call; letters match in either case |
//! | `route` | of this name |
//! | `outcome` | that ended like this: `failure` (failed or panicked), `failed`, `panicked`, `cancelled`, `ok` |
//! | `failure` | that failed with this message, apart from numbers, ids and quoted texts |
//! | `slower` | that took longer: `250us`, `30ms`, `1.5s`, `2m` |
//! | `heavier` | that allocated more bytes: `100kB`, `1.5MiB` |
//! | `since`, `until` | that ran between these moments: `2026-11-29T17:05:00Z`, or a time ago: `10m`, `2h`, `7d` |
//!
//! A request is found if it meets all of them. There are no regular expressions.

#[cfg(feature = "web")]
pub(crate) mod files;
#[cfg(feature = "web")]
pub(crate) mod found;
#[cfg(feature = "web")]
pub(crate) mod groups;
#[cfg(feature = "web")]
mod line;
mod needle;
pub(crate) mod parse;
pub(crate) mod query;
pub(crate) mod values;

pub use parse::QueryError;
pub use query::{Outcomes, Query};
pub use values::When;
