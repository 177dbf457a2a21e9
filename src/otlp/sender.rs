//! The thread that sends: one batch after the other, each until it is taken, refused or given up.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tokio::runtime::Runtime;
use tracing_core::dispatcher::{Dispatch, with_default};

use crate::primitives::text::unless_it_panics;
use crate::recorder::{SinkCounts, has_memory};

use super::Protocol;
use super::answer::Verdict;
use super::batch::Batch;
use super::buffer::Buffer;
use super::connection::Client;
use super::request::request;
use super::retry::Backoff;
use super::settings::Settings;

pub(super) struct Sender {
    buffer: Arc<Buffer>,
    counts: Arc<SinkCounts>,
    settings: Settings,
    client: Client,
    /// Of this thread, so it does not matter which one the program has, or whether it has one.
    runtime: Runtime,
    /// Whether a part of the report at the front was lost.
    is_broken: bool,
}

/// What became of a batch.
enum Fate {
    Taken { refused: u64, why: String },
    Lost(String),
}

impl Sender {
    pub(super) fn new(
        mut settings: Settings,
        buffer: Arc<Buffer>,
        counts: Arc<SinkCounts>,
    ) -> io::Result<Self> {
        let is_http2 = settings.protocol == Protocol::Grpc;
        let client = Client::new(settings.endpoint.clone(), settings.tls.take(), is_http2);
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        Ok(Self {
            buffer,
            counts,
            settings,
            client,
            runtime: runtime.enable_io().enable_time().build()?,
            is_broken: false,
        })
    }

    /// Sends until the buffer is closed and empty.
    pub(super) fn run(mut self) {
        self.send_all();
        let Self {
            settings,
            client,
            runtime,
            ..
        } = self;
        untraced(settings.protocol, || {
            drop(client);
            // Does not wait for anything.
            runtime.shutdown_background();
        });
    }

    fn send_all(&mut self) {
        let buffer = Arc::clone(&self.buffer);
        while let Some(mut batch) = buffer.next() {
            let fate = self.deliver(&mut batch);
            self.count(&batch, fate);
            buffer.finish(&batch);
        }
    }

    fn deliver(&mut self, batch: &mut Batch) -> Fate {
        let started = Instant::now();
        let mut backoff = Backoff::new();
        let mut request = None;
        let mut last = None;
        loop {
            let end = self.buffer.end();
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                let why = last.unwrap_or_else(|| "not tried".to_owned());
                return Fate::Lost(format!("{NOT_SENT}: {why}"));
            }
            let limit = left.map_or(self.settings.timeout, |it| it.min(self.settings.timeout));
            let (after, why) = match self.attempt(batch, &mut request, limit) {
                Verdict::Taken { refused, why } => return Fate::Taken { refused, why },
                Verdict::Refused(why) => return Fate::Lost(why),
                Verdict::Again { after, why } => (after, why),
            };
            self.counts.note(&why);
            let left = self.settings.retry_for.saturating_sub(started.elapsed());
            if left == Duration::ZERO {
                return Fate::Lost(format!("given up: {why}"));
            }
            let wait = after.unwrap_or_default().max(backoff.next());
            self.buffer.pause(wait.min(left));
            last = Some(why);
        }
    }

    fn attempt(
        &mut self,
        batch: &mut Batch,
        request_made: &mut Option<Request<Full<Bytes>>>,
        limit: Duration,
    ) -> Verdict {
        let again = |why: String| Verdict::Again { after: None, why };
        // The request, a compressed one beside what is compressed, and what hyper copies of it.
        if !has_memory(batch.spans.len().saturating_mul(3).max(MIN_BYTES)) {
            return again("no memory for the request".to_owned());
        }
        let (client, runtime, buffer) = (&mut self.client, &self.runtime, &self.buffer);
        let protocol = self.settings.protocol;
        let settings = &self.settings;
        let exchanged = unless_it_panics(|| {
            let request = match request_made {
                Some(request) => request,
                None => request_made.insert(request(settings, std::mem::take(&mut batch.spans))?),
            };
            let exchange = || runtime.block_on(client.exchange(request, limit, buffer.ended()));
            Ok(untraced(protocol, exchange))
        });
        match exchanged {
            Some(Ok(Ok(answer))) => Verdict::of(&answer, protocol),
            Some(Ok(Err(error))) => again(error.to_string()),
            Some(Err(why)) => Verdict::Refused(why),
            None => Verdict::Refused("sending panicked".to_owned()),
        }
    }

    fn count(&mut self, batch: &Batch, fate: Fate) {
        match fate {
            Fate::Taken { refused, why } => {
                let broken = u64::from(self.is_broken).min(batch.ends);
                self.counts.take(batch.ends - broken);
                if broken > 0 {
                    self.counts
                        .fail(broken, &"a part of the request was not sent");
                    self.is_broken = false;
                }
                if refused > 0 {
                    self.counts.refuse_spans(refused.min(batch.count), &why);
                } else if !why.is_empty() {
                    // A warning.
                    self.counts.note(&why);
                }
            }
            Fate::Lost(why) => {
                self.counts.fail(batch.ends, &why);
                self.is_broken = batch.is_cut;
            }
        }
    }
}

/// Runs what calls libraries. The crate `h2` has spans and events, which nobody must see in a trace: sending one
/// would make others. hyper has none.
///
/// While any thread has a dispatcher of its own, all threads look for theirs, so this one has it only when needed.
fn untraced<T>(protocol: Protocol, work: impl FnOnce() -> T) -> T {
    match protocol {
        Protocol::Grpc => with_default(&Dispatch::none(), work),
        Protocol::HttpProtobuf | Protocol::HttpJson => work(),
    }
}

/// Why a report is lost that the end of the recorder leaves no time for.
pub(super) const NOT_SENT: &str = "not sent before the recorder's end";
/// What a request takes beside its body.
const MIN_BYTES: usize = 64 << 10;
