//! Lines of a log with the number of their trace.

use std::fmt;

use tracing_core::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::write::current::fetch;

/// A format of events that adds the [number](crate::Trace::id) of the current trace, for
/// `tracing_subscriber::fmt`.
///
/// Text begins with `trace=42 `, and a JSON object with `"trace":42`. Reports and the page show this number,
/// so a line of the log leads to its request. An event outside of all traces is formatted as without it, and
/// so is one in an [empty trace](crate::Trace::is_empty).
///
/// ```
/// use tracing_subscriber::fmt;
/// use tracing_subscriber::prelude::*;
///
/// let log = fmt::layer().map_event_format(tracer::tracing::WithTrace::text);
/// let subscriber = tracing_subscriber::registry().with(tracer::tracing::layer()).with(log);
/// # let _guard = subscriber.set_default();
///
/// let trace = tracer::Trace::new();
/// let _scope = trace.inject();
/// tracing::info!("stored");           // trace=1 2026-11-28T12:00:00.000000Z  INFO shop: stored
/// ```
///
/// It also works with `fmt().map_event_format(…)`, with `fmt().json()` and [`json`](Self::json), with formats
/// of other crates, and for records of the crate `log`. It allocates nothing. `fmt` formats the events for span
/// entries (`FmtSpan::ENTER`) with the number if its layer is added after the [layer of
/// calls](super::layer).
#[derive(Clone, Debug)]
pub struct WithTrace<F> {
    format: F,
    is_json: bool,
}

impl<F> WithTrace<F> {
    /// Adds the number to a format that writes text: `trace=42 ` at the beginning.
    pub const fn text(format: F) -> Self {
        Self {
            format,
            is_json: false,
        }
    }

    /// Adds the number to a format that writes a JSON object: `"trace":42` is its first member.
    ///
    /// ```
    /// use tracing_subscriber::prelude::*;
    ///
    /// // With the feature `json` of `tracing-subscriber`.
    /// let log = tracing_subscriber::fmt::layer().json().map_event_format(tracer::tracing::WithTrace::json);
    /// let subscriber = tracing_subscriber::registry().with(tracer::tracing::layer()).with(log);
    /// # drop(subscriber);
    /// ```
    pub const fn json(format: F) -> Self {
        Self {
            format,
            is_json: true,
        }
    }
}

impl<S, N, F> FormatEvent<S, N> for WithTrace<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let trace = fetch().id();
        if trace == 0 {
            return self.format.format_event(context, writer, event);
        }
        if !self.is_json {
            // Not through another writer: whether it may write colours would be lost.
            write!(writer, "trace={trace} ")?;
            return self.format.format_event(context, writer, event);
        }
        let mut object = Object {
            writer,
            trace,
            next: Next::Brace,
        };
        let writer = Writer::new(&mut object);
        self.format.format_event(context, writer, event)
    }
}

/// Passes a JSON object on, with one more member.
struct Object<'a> {
    writer: Writer<'a>,
    trace: u64,
    next: Next,
}

enum Next {
    /// The one that opens the object.
    Brace,
    /// The object's next member, or its end.
    Member,
    /// The rest, unchanged.
    Rest,
}

impl fmt::Write for Object<'_> {
    fn write_str(&mut self, mut text: &str) -> fmt::Result {
        while !text.is_empty() {
            match self.next {
                Next::Brace => {
                    if let Some(rest) = text.strip_prefix('{') {
                        write!(self.writer, "{{\"trace\":{}", self.trace)?;
                        (text, self.next) = (rest, Next::Member);
                    } else {
                        self.next = Next::Rest;
                    }
                }
                Next::Member => {
                    if !text.starts_with('}') {
                        self.writer.write_char(',')?;
                    }
                    self.next = Next::Rest;
                }
                Next::Rest => return self.writer.write_str(text),
            }
        }
        Ok(())
    }
}
