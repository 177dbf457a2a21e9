//! The fields of spans and events, as texts of calls.

use std::error::Error;
use std::fmt::{self, Debug, Display};

use tracing_core::field::{Field, Visit};
use tracing_core::{Level, Metadata};

use crate::primitives::text::{Several, Text};
use crate::store::callsite::{Callsite, TextPlace};
use crate::store::interned::NewCallsite;

/// OpenTelemetry's conventions: <https://docs.rs/tracing-opentelemetry/latest/tracing_opentelemetry/#special-fields>
pub(super) const OTEL_STATUS: &str = "otel.status_code";

/// How many fields of a span its calls have. The texts of a call are bounded, so that of more fields hardly
/// anything would be left.
const MOST: usize = 64;

/// Whether a span has fields that its calls lack.
pub(super) fn are_too_many(metadata: &Metadata<'_>) -> bool {
    metadata.fields().len() > MOST
}

/// Returns the callsite of a span, which is made the first time. The first of `id_names` that is a field
/// is the id of its calls, and the other fields are labels.
#[inline]
pub(super) fn callsite(
    metadata: &'static Metadata<'static>,
    id_names: &[&'static str],
) -> &'static Callsite {
    Callsite::interned_for(metadata).unwrap_or_else(|| new_callsite(metadata, id_names))
}

#[cold]
fn new_callsite(
    metadata: &'static Metadata<'static>,
    id_names: &[&'static str],
) -> &'static Callsite {
    alloc_counter::exclude(|| {
        let fields = metadata.fields().iter().take(MOST);
        let names: Vec<_> = fields.map(|field| field.name()).collect();
        let id = id_names.iter().find(|name| names.contains(name));
        let mut labels = names.clone();
        labels.retain(|name| Some(name) != id);
        let new = NewCallsite {
            name: metadata.name(),
            module: metadata.module_path().unwrap_or(metadata.target()),
            file: metadata.file().unwrap_or_default(),
            line: metadata.line().unwrap_or_default(),
            has_id: id.is_some(),
            labels: &labels,
        };
        new.intern_for(metadata)
    })
}

/// Returns which text of the callsite's calls a field is; `None` if they have no text for it.
fn place(callsite: &Callsite, field: &Field) -> Option<TextPlace> {
    let labels = callsite.labels();
    let is = |place: usize| labels.get(place) == Some(&field.name());
    let index = field.index();
    if index >= MOST {
        None
    } else if is(index) {
        Some(TextPlace::Label(index))
    } else if index > 0 && is(index - 1) {
        // The id stands before it.
        Some(TextPlace::Label(index - 1))
    } else {
        callsite.has_id().then_some(TextPlace::Id)
    }
}

/// Calls a function with each field and its value.
struct Each<F>(F);

impl<F: FnMut(&Field, &dyn Display)> Visit for Each<F> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        (self.0)(field, &format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        (self.0)(field, &value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        (self.0)(field, &value);
    }
}

/// Returns the id and the labels that `record` records, as calls of this callsite have them.
pub(super) fn texts(callsite: &Callsite, record: impl Fn(&mut dyn Visit)) -> Text {
    let labels = callsite.labels().len();
    let mut several = Several::new(usize::from(callsite.has_id()) + labels);
    if callsite.has_id() {
        let mut has_id = false;
        record(&mut Each(|field: &Field, value: &dyn Display| {
            if !has_id && place(callsite, field) == Some(TextPlace::Id) {
                has_id = true;
                several.push(Some(value));
            }
        }));
        if !has_id {
            several.push(None);
        }
    }
    // Values come in the order of the fields.
    let mut next = 0;
    record(&mut Each(|field: &Field, value: &dyn Display| {
        if let Some(TextPlace::Label(place)) = place(callsite, field)
            && place >= next
        {
            for _ in next..place {
                several.push(None);
            }
            several.push(Some(value));
            next = place + 1;
        }
    }));
    for _ in next..labels {
        several.push(None);
    }
    several.into_text()
}

/// Calls `look` with each recorded field of a callsite: its place among the texts, and its text.
pub(super) fn each(
    callsite: &Callsite,
    record: impl Fn(&mut dyn Visit),
    mut look: impl FnMut(TextPlace, Text),
) {
    record(&mut Each(|field: &Field, value: &dyn Display| {
        if let Some(place) = place(callsite, field) {
            look(place, Text::of(value));
        }
    }));
}

/// Returns whether the fields say that the span has failed.
pub(super) fn have_error_status(record: impl Fn(&mut dyn Visit)) -> bool {
    text_of(record, |name| name == OTEL_STATUS)
        .is_some_and(|status| status.as_str().eq_ignore_ascii_case("error"))
}

/// The field that `#[instrument(err)]` records: <https://docs.rs/tracing/latest/tracing/attr.instrument.html>
const ERROR: &str = "error";
const MESSAGE: &str = "message";
/// What tower-http's `TraceLayer` says of a failed response.
const CLASSIFICATION: &str = "classification";

/// Whether an event may say that its span has failed.
pub(super) fn may_tell_error(metadata: &Metadata<'_>) -> bool {
    let fields = metadata.fields();
    fields.field(ERROR).is_some()
        || (*metadata.level() == Level::ERROR && fields.field(CLASSIFICATION).is_some())
}

/// Returns why an event says that its span has failed: its error, or else the line.
pub(super) fn why(record: impl Fn(&mut dyn Visit)) -> Text {
    text_of(&record, |name| matches!(name, ERROR | CLASSIFICATION)).unwrap_or_else(|| line(record))
}

/// Returns the message of an event, and then its fields.
pub(super) fn line(record: impl Fn(&mut dyn Visit)) -> Text {
    Text::of(&Line(record))
}

/// The message and the fields of an event in a line.
struct Line<R>(R);

impl<R: Fn(&mut dyn Visit)> Display for Line<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut result = Ok(());
        let mut is_first = true;
        (self.0)(&mut Each(|field: &Field, value: &dyn Display| {
            if field.name() == MESSAGE {
                result = result.and_then(|()| write!(f, "{value}"));
                is_first = false;
            }
        }));
        (self.0)(&mut Each(|field: &Field, value: &dyn Display| {
            if field.name() != MESSAGE {
                let space = if is_first { "" } else { " " };
                result = result.and_then(|()| write!(f, "{space}{}={value}", field.name()));
                is_first = false;
            }
        }));
        result
    }
}

/// Returns the text of the last field with such a name that has a value.
pub(super) fn text_of(
    record: impl Fn(&mut dyn Visit),
    is_wanted: impl Fn(&str) -> bool,
) -> Option<Text> {
    let mut found = None;
    record(&mut Each(|field: &Field, value: &dyn Display| {
        if is_wanted(field.name()) {
            found = Some(Text::of(value));
        }
    }));
    found
}
