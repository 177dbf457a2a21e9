//! Events of Sentry: of what is captured inside a request, and of kept failures.

#[path = "../common/mod.rs"]
mod common;

mod captured;
mod failures;

use std::sync::Arc;
use std::time::Duration;

use sentry_core::protocol::{Attachment, Context, Event, Map, TraceContext, Value};
use sentry_core::test::TestTransport;
use sentry_core::{Client, ClientOptions, Envelope, Hub};
use tracer::Counting;
use tracer::recorder::Recorder;
use tracer::sentry::{TracerIntegration, WithTree};

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();

const PATIENCE: Duration = Duration::from_secs(20);

/// A hub whose events arrive in a list.
struct Sentry {
    hub: Arc<Hub>,
    transport: Arc<TestTransport>,
}

impl Sentry {
    /// Binds a client to the hub.
    fn bind(&self, recorder: &Recorder) {
        let options = ClientOptions::new()
            .dsn("https://public@sentry.invalid/1")
            .transport(WithTree::new(Arc::clone(&self.transport)))
            .add_integration(TracerIntegration::new(recorder.clone()));
        self.hub.bind_client(Some(Arc::new(Client::from(options))));
    }

    fn unbound() -> Self {
        Self {
            hub: Arc::new(Hub::new(None, Arc::default())),
            transport: TestTransport::new(),
        }
    }

    fn new(recorder: &Recorder) -> Self {
        let sentry = Self::unbound();
        sentry.bind(recorder);
        sentry
    }

    /// Runs `work` with the hub, and returns what it captured.
    fn run(&self, work: impl FnOnce()) -> Vec<Captured> {
        Hub::run(Arc::clone(&self.hub), work);
        self.captured()
    }

    /// Returns what was captured since the last time.
    fn captured(&self) -> Vec<Captured> {
        let envelopes = self.transport.fetch_and_clear_envelopes();
        envelopes.iter().map(Captured::of).collect()
    }
}

/// An event with its attachments.
struct Captured {
    event: Event<'static>,
    attachments: Vec<Attachment>,
}

impl Captured {
    fn tags(&self) -> Vec<(&str, &str)> {
        let tags = self.event.tags.iter();
        tags.map(|(name, value)| (&**name, &**value)).collect()
    }

    fn of(envelope: &Envelope) -> Self {
        use sentry_core::protocol::EnvelopeItem;

        let attachments = envelope.items().filter_map(|item| match item {
            EnvelopeItem::Attachment(attachment) => Some(attachment.clone()),
            _ => None,
        });
        Self {
            event: envelope.event().expect("an event").clone(),
            attachments: attachments.collect(),
        }
    }

    fn trace(&self) -> &TraceContext {
        match &self.event.contexts["trace"] {
            Context::Trace(trace) => trace,
            other => panic!("{other:?}"),
        }
    }

    fn facts(&self) -> &Map<String, Value> {
        match &self.event.contexts["tracer"] {
            Context::Other(facts) => facts,
            other => panic!("{other:?}"),
        }
    }

    /// Returns the text of the only attachment.
    fn tree(&self) -> &str {
        let [tree] = &*self.attachments else {
            panic!("{} attachments", self.attachments.len());
        };
        assert_eq!(tree.filename, "tracer.txt");
        std::str::from_utf8(&tree.buffer).unwrap()
    }
}
