//! The exporter as a sink of a recorder: encodes reports on the sink's thread.

use std::io;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::export::otlp::{encode_span, spans, write_json};
use crate::primitives::excluded::Own;
use crate::recorder::{
    Attach, Attached, Builder, Later, PATIENCE, SinkCounts, Taken, bytes_of, has_memory,
};
use crate::report::Report;

use super::Protocol;
use super::batch::Encoded;
use super::buffer::{Buffer, Limits, NotAdded};
use super::builder::Exporter;
use super::sender::{NOT_SENT, Sender};

impl Builder {
    /// Sends kept requests to a collector of OpenTelemetry. See [`otlp`](crate::otlp) for what is sent, and
    /// what happens if the collector does not take it.
    ///
    /// ```
    /// use tracer::otlp::Exporter;
    /// use tracer::recorder::Recorder;
    ///
    /// let exporter = Exporter::from_env()?;
    /// let recorder = Recorder::builder().otlp(exporter).start()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn otlp(self, exporter: Exporter) -> Self {
        self.attach(exporter)
    }
}

impl Attach for Exporter {
    fn name(&self) -> String {
        let endpoint = &self.settings.endpoint;
        match self.settings.protocol {
            Protocol::Grpc if endpoint.is_tls => format!("OTLP grpcs://{}", endpoint.authority),
            Protocol::Grpc => format!("OTLP grpc://{}", endpoint.authority),
            _ => format!("OTLP {endpoint:?}"),
        }
    }

    fn start(self: Box<Self>, counts: Arc<SinkCounts>) -> io::Result<Attached> {
        let settings = self.settings.into_inner();
        let protocol = settings.protocol;
        let buffer = Arc::new(Buffer::new(Limits {
            buffer_bytes: settings.buffer_bytes,
            batch_bytes: settings.batch_bytes,
            delay: settings.delay,
            separator: if protocol == Protocol::HttpJson {
                b","
            } else {
                b""
            },
        }));
        let (for_sender, its_counts) = (Arc::clone(&buffer), Arc::clone(&counts));
        let (ready, is_ready) = mpsc::channel();
        // The runtime is made and dropped there: a runtime can't be dropped in another one, in which this may be
        // called.
        let work = move || match Sender::new(settings, for_sender, its_counts) {
            Ok(sender) => {
                let _ = ready.send(Ok(()));
                sender.run();
            }
            Err(error) => _ = ready.send(Err(error)),
        };
        let thread = std::thread::Builder::new().name("tracer-otlp".to_owned());
        let thread = thread.spawn(move || alloc_counter::exclude(work))?;
        let failed = || Err(io::Error::other("the thread ended"));
        is_ready.recv().unwrap_or_else(|_| failed())?;
        let mut encoder = Own::new(Encoder {
            open: Open(Arc::clone(&buffer)),
            counts,
            protocol,
            encoded: Encoded::default(),
        });
        Ok(Attached {
            take: Box::new(move |report| alloc_counter::exclude(|| encoder.take(report))),
            later: Arc::new(Waiting(buffer)),
            thread,
        })
    }
}

/// Encodes reports into the buffer.
struct Encoder {
    open: Open,
    counts: Arc<SinkCounts>,
    protocol: Protocol,
    /// Its memory is used again.
    encoded: Encoded,
}

/// The buffer is closed with this.
struct Open(Arc<Buffer>);

/// Memory that a large report took is given back.
const KEPT_BYTES: usize = 256 << 10;

impl Encoder {
    fn take(&mut self, report: &Arc<Report>) -> Result<Taken, String> {
        // Spans have some texts that reports do not have, such as keys.
        if !has_memory(bytes_of(report).saturating_mul(4)) {
            return Err("no memory for the spans".to_owned());
        }
        self.encode(report);
        let added = self.open.0.push(&self.encoded);
        if self.encoded.bytes.capacity() > KEPT_BYTES {
            self.encoded = Encoded::default();
        }
        match added {
            Ok(()) => {}
            Err(NotAdded::Full) => self.counts.drop_reports(1),
            Err(NotAdded::Ended) => return Err(format!("{NOT_SENT}: not tried")),
            Err(NotAdded::NoMemory) => return Err("no memory for the spans".to_owned()),
        }
        Ok(Taken::ByItself)
    }

    fn encode(&mut self, report: &Report) {
        let Encoded { bytes, ends } = &mut self.encoded;
        bytes.clear();
        ends.clear();
        for span in spans(report) {
            if self.protocol == Protocol::HttpJson {
                write_json(&span, bytes);
            } else {
                encode_span(&span, bytes);
            }
            ends.push(bytes.len());
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.close(PATIENCE);
    }
}

struct Waiting(Arc<Buffer>);

/// Gives up this much earlier than asked, so that what is lost is counted when the caller goes on.
const FOR_COUNTING: Duration = Duration::from_millis(250);

impl Later for Waiting {
    fn waiting(&self) -> usize {
        usize::try_from(self.0.waiting()).unwrap_or(usize::MAX)
    }

    fn wait(&self, deadline: Instant) -> bool {
        self.0.wait(deadline)
    }

    fn end_by(&self, deadline: Instant) {
        let left = deadline.saturating_duration_since(Instant::now());
        let end = deadline.checked_sub((left / 5).min(FOR_COUNTING));
        self.0.end_by(end.unwrap_or(deadline));
    }
}
