//! The tree of a request's calls, attached to its events.

use std::fmt::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use sentry_core::protocol::{Attachment, Context};
use sentry_core::{Envelope, Transport, TransportFactory, TransportOptions};

use crate::primitives::excluded::Own;
use crate::primitives::text::character_boundary;
use crate::report::Report;
use crate::write::current::fetch;

/// The most bytes of an attached tree.
const MAX_BYTES: usize = 64 << 10;
/// The end of a tree that is cut.
const CUT: &str = "\n…\n";
const NAME: &str = "tracer.txt";

/// Factory of transports that attach the tree of the request's calls to each event that is captured inside a
/// request, before it goes to another factory's transport.
///
/// An integration of Sentry can't attach anything. The tree is attached to events that are really sent, after
/// `before_send` and sampling. It needs [`TracerIntegration`](super::TracerIntegration).
pub struct WithTree<F>(F);

impl<F: TransportFactory> WithTree<F> {
    /// Makes a factory around another one, such as `sentry::transports::DefaultTransportFactory`.
    pub fn new(factory: F) -> Self {
        Self(factory)
    }
}

impl<F: TransportFactory> TransportFactory for WithTree<F> {
    fn create_transport_with_options(&self, options: TransportOptions) -> Arc<dyn Transport> {
        Arc::new(Attaching(self.0.create_transport_with_options(options)))
    }
}

impl<F> fmt::Debug for WithTree<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithTree").finish_non_exhaustive()
    }
}

struct Attaching(Arc<dyn Transport>);

impl Transport for Attaching {
    fn send_envelope(&self, mut envelope: Envelope) {
        if let Some(tree) = alloc_counter::exclude(|| tree_here(&envelope)) {
            envelope.add_item(attachment(&tree));
        }
        self.0.send_envelope(envelope);
    }

    fn flush(&self, timeout: Duration) -> bool {
        self.0.flush(timeout)
    }

    fn shutdown(&self, timeout: Duration) -> bool {
        self.0.shutdown(timeout)
    }
}

/// Returns the tree of the current trace until now, if the envelope has an event of that trace.
fn tree_here(envelope: &Envelope) -> Option<Own<String>> {
    let here = fetch();
    let facts = envelope.event()?.contexts.get(super::facts::CONTEXT);
    let Some(Context::Other(facts)) = facts else {
        return None;
    };
    let trace = facts.get("trace")?.as_u64()?;
    (trace == here.id()).then(|| tree(&here.report()))
}

/// Returns a report's tree, cut at 64 KiB. The memory is the tracer's own.
pub(super) fn tree(report: &Report) -> Own<String> {
    alloc_counter::exclude(|| {
        let mut cut = Cut(String::new());
        if write!(cut, "{}", report.tree()).is_err() {
            cut.0.push_str(CUT);
        }
        Own::new(cut.0)
    })
}

/// Makes an attachment, in memory of the program's.
pub(super) fn attachment(tree: &str) -> Attachment {
    Attachment {
        buffer: tree.as_bytes().to_vec(),
        filename: NAME.to_owned(),
        content_type: Some("text/plain; charset=utf-8".to_owned()),
        ty: None,
    }
}

/// A text that takes what fits, and then an error.
struct Cut(String);

impl Write for Cut {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let room = MAX_BYTES - CUT.len() - self.0.len();
        let fits = character_boundary(part.as_bytes(), room);
        self.0.push_str(&part[..fits]);
        if fits < part.len() {
            return Err(fmt::Error);
        }
        Ok(())
    }
}
