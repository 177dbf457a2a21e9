//! The layer's settings: the field of a call's id, the levels of events, and the spans that begin requests.

use tracing_core::LevelFilter;
#[cfg(feature = "recorder")]
use tracing_core::Metadata;

use super::CallLayer;

impl CallLayer {
    /// Sets the name of the field that is a call's [id](crate::CallReport::id); by default `request_id`,
    /// or else `id`. Other fields are labels.
    ///
    /// The first layer in the process that sees a span decides for all spans of that place in the code.
    ///
    /// ```
    /// use tracing_subscriber::prelude::*;
    ///
    /// let layer = tracer::tracing::layer().id_field("order");
    /// tracing_subscriber::registry().with(layer).init();
    ///
    /// let trace = tracer::Trace::new();
    /// let _scope = trace.inject();
    /// tracing::info_span!("pack", order = 7, rows = 3).in_scope(|| { /* … */ });
    /// assert_eq!(trace.report().calls[0].id.as_deref(), Some("7"));
    /// ```
    #[must_use]
    pub fn id_field(mut self, name: &'static str) -> Self {
        self.id_fields = vec![name];
        self
    }

    /// Sets the most verbose level of the events that become
    /// [checkpoints](crate::CallReport::checkpoints); `INFO` by default, which includes `WARN` and `ERROR`.
    /// With `LevelFilter::OFF` no event does.
    #[must_use]
    pub fn checkpoints(mut self, level: impl Into<LevelFilter>) -> Self {
        self.checkpoints = level.into();
        self
    }

    /// Sets the most verbose level of the events that mark their span as failed, whatever their fields; none
    /// by default. `ERROR` suits programs that log an error only if the work can't go on.
    ///
    /// An event with a field `error`, as `#[instrument(err)]` emits it, marks its span at any level.
    #[must_use]
    pub fn failures(mut self, level: impl Into<LevelFilter>) -> Self {
        self.failures = level.into();
        self
    }

    /// Lets root spans begin requests of this recorder: the spans of tower-http's `TraceLayer`, and those
    /// with the field `otel.kind = "server"`, if no trace is current when they are made.
    ///
    /// The request's name is the value of `otel.name`. Without that field it is the method and the route
    /// (`http.request.method`, `http.method` or `method`; `http.route`, `route` or `matched_path`). Without a
    /// route it is the method, if there is one, and the span's name. These fields have to have their values when
    /// the span is made. The request's id is the span's [id field](Self::id_field). The request ends when the
    /// span is closed, that is when its last handle is dropped; with `TraceLayer`, after the response's body.
    #[cfg(feature = "recorder")]
    #[must_use]
    pub fn recorder(mut self, recorder: crate::recorder::Recorder) -> Self {
        self.requests.recorder = Some(recorder);
        self
    }

    /// Lets more root spans begin requests: those for whose metadata `is_request` returns `true`. It is
    /// asked about spans that are made while no trace is current. Without a [`recorder`](Self::recorder) it
    /// has no effect.
    ///
    /// ```
    /// use tracer::recorder::Recorder;
    ///
    /// let recorder = Recorder::builder().start()?;
    /// let layer = tracer::tracing::layer()
    ///     .recorder(recorder)
    ///     .requests(|span| span.target().starts_with("jobs") && span.name() == "run");
    /// # Ok::<(), tracer::recorder::StartError>(())
    /// ```
    #[cfg(feature = "recorder")]
    #[must_use]
    pub fn requests(
        mut self,
        is_request: impl Fn(&'static Metadata<'static>) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.requests.also(is_request);
        self
    }
}
