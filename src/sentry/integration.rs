//! The integration that adds traces to events.

use std::fmt;

use sentry_core::protocol::Event;
use sentry_core::{ClientOptions, Integration};

use crate::primitives::excluded::Own;
use crate::recorder::{Recorder, WeakRecorder};

use super::facts::{CONTEXT, Facts};

/// Integration of Sentry that adds to each event what is known of the request in which it was captured: see the
/// [module](super).
///
/// An event is of the request whose trace is current on the thread that captures it, also in a panic's hook.
///
/// ```
/// use tracer::call;
/// use tracer::recorder::Recorder;
/// use tracer::sentry::TracerIntegration;
/// # use sentry_core as sentry;
/// use sentry::{ClientOptions, Level, capture_message, test::with_captured_events_options};
///
/// let recorder = Recorder::builder().start()?;
/// let options = ClientOptions::new().add_integration(TracerIntegration::new(recorder.clone()));
/// let events = with_captured_events_options(
///     || {
///         let mut request = recorder.begin("GET /orders/{id}");
///         request.id("ca7a87c4");
///         let _scope = request.inject();
///         let _call = call!();
///         capture_message("no database", Level::Error);
///     },
///     options,
/// );
/// let tags = &events[0].tags;
/// assert_eq!((&*tags["route"], &*tags["request_id"]), ("GET /orders/{id}", "ca7a87c4"));
/// # Ok::<(), tracer::recorder::StartError>(())
/// ```
pub struct TracerIntegration {
    recorder: WeakRecorder,
}

impl TracerIntegration {
    /// Makes an integration that finds the routes and ids of this recorder's requests.
    ///
    /// It does not keep the recorder: Sentry may keep an integration as long as the process, and the recorder ends
    /// with its last handle. The handle that is given here is dropped, so give a clone.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "as all that takes a recorder"
    )]
    pub fn new(recorder: Recorder) -> Self {
        let recorder = recorder.downgrade();
        Self { recorder }
    }
}

impl Integration for TracerIntegration {
    fn name(&self) -> &'static str {
        "tracer"
    }

    fn process_event(
        &self,
        mut event: Event<'static>,
        _: &ClientOptions,
    ) -> Option<Event<'static>> {
        // That of a kept failure has the facts of another trace.
        if !event.contexts.contains_key(CONTEXT) {
            let facts = || Facts::here(&self.recorder).map(Own::new);
            if let Some(facts) = alloc_counter::exclude(facts) {
                facts.add_to(&mut event);
            }
        }
        Some(event)
    }
}

impl fmt::Debug for TracerIntegration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TracerIntegration").finish_non_exhaustive()
    }
}
