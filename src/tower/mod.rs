//! A recorder around every HTTP request: a [`tower`](https://docs.rs/tower) layer for axum, hyper, tonic
//! and any other service of HTTP requests.
//!
//! ```
//! use axum::{Router, routing::get};
//! use tracer::recorder::Recorder;
//! use tracer::tower::RecorderLayer;
//!
//! let recorder = Recorder::builder().start()?;
//! let app: Router = Router::new()
//!     .route("/orders/{id}", get(async || "an order"))
//!     .layer(RecorderLayer::new(recorder));
//! # Ok::<(), tracer::recorder::StartError>(())
//! ```
//!
//! - The **name** is method and route, `GET /orders/{id}`, if axum knows the route. So the layer belongs
//!   on the `Router`, after the routes that are to be recorded ([`Router::layer`](axum::Router::layer)),
//!   not around it. A request without a route is named `GET (no route)`: the router's fallback answered
//!   it, or a service that is mounted with [`nest_service`](axum::Router::nest_service), whose path axum
//!   does not reveal. Outside of an axum router the name is the method alone. A path is no name, since
//!   clients choose it freely. A method other than the nine standard ones is named `HTTP`. These are the
//!   rules of [OpenTelemetry](https://opentelemetry.io/docs/specs/semconv/http/http-spans/#name). In a
//!   [gRPC](RecorderLayer::grpc) service the path takes the route's place: `POST /shop.Orders/Place`.
//!   [`name_by`](RecorderLayer::name_by) overrides all this. It is known when the request begins, so an armed
//!   route (feature `sites`) records which lines allocate from the beginning.
//! - The **id** is that of the header `x-request-id`, or is made. [`RequestId`] is an extractor for handlers, and
//!   [`RequestId::current`] returns it wherever the request's trace is current.
//! - A request **fails** with a status of 500 or more, with a `grpc-status` other than 0, with an error
//!   of the service or of the response's body, and with a body that has fewer or more bytes than its
//!   `content-length` promises. If a call failed, its message follows the status. A status of 400 to 499
//!   is the client's failure, not the service's. If an outermost call failed, the request failed, unless
//!   it was answered with such a status.
//!   [`Policy::client_errors`](crate::recorder::Policy::client_errors) keeps those requests.
//! - A request is **over** when the response's body has ended, failed or been dropped. If the client
//!   hangs up before it received the whole body, the request is [cancelled](crate::Outcome::Cancelled),
//!   and its labels show how many bytes and frames were sent. If there is no body to send (`HEAD`, 204,
//!   304) or the connection is upgraded, the request is over with the head. A response whose body is
//!   never polled, because a layer above retried or answered something else, is not cancelled.
//! - A request **panics** if the handler does. If a layer below catches the panic and answers with 500,
//!   the request failed, and the call panicked.
//!
//! - Its **trace** continues that of the caller, if the request has a valid header `traceparent`. See
//!   [`propagation`](crate::propagation).
//!
//! Kept requests have labels for `path`, `status`, `sent` bytes and `frames`, and for a `method` that is
//! not one of the nine. There is no label for the query, since it often contains secrets. The path is
//! the one that the client asked for, in nested routers too.
//!
//! Layers above that answer requests themselves (CORS, timeouts, authorization) do so with an empty
//! [`RecordedBody`], of which nothing is recorded:
//!
//! ```
//! use axum::Router;
//! use tower::ServiceBuilder;
//! use tower_http::cors::CorsLayer;
//! use tracer::recorder::Recorder;
//! use tracer::tower::RecorderLayer;
//!
//! let recorder = Recorder::builder().start()?;
//! let layers = ServiceBuilder::new()
//!     .layer(CorsLayer::permissive())
//!     .layer(RecorderLayer::new(recorder));
//! let app: Router = Router::new().layer(layers);
//! # Ok::<(), tracer::recorder::StartError>(())
//! ```
//!
//! A timeout below the recorder's layer drops the handler: its calls are cancelled, and the request's
//! outcome is that of the timeout's response. A timeout above cancels the request. With
//! [retries](https://docs.rs/tower/latest/tower/retry/) below, all attempts are in one trace; with
//! retries above, each attempt is a request.

mod body;
mod exchange;
mod future;
mod head;
mod id;
mod kept;
mod shared;

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::HeaderName;
use http::request::Parts;
use http::{Request, Response};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use crate::recorder::Recorder;

use exchange::Exchange;
use head::{Head, named_by};
use shared::Shared;

pub use body::RecordedBody;
pub use future::ResponseFuture;
pub use id::RequestId;

/// Layer that puts a [`Recorder`] around a service: see the [module](self).
#[doc(alias = "TraceLayer")]
#[doc(alias = "middleware")]
#[derive(Clone)]
pub struct RecorderLayer {
    // One handle, since axum clones the service for each request.
    options: Arc<Options>,
}

#[derive(Clone)]
#[expect(clippy::struct_excessive_bools, reason = "settings, each by itself")]
struct Options {
    recorder: Recorder,
    id_header: HeaderName,
    has_server_timing: bool,
    is_grpc: bool,
    continues: bool,
    tells_kept: bool,
    name_by: Option<Arc<NameBy>>,
}

type NameBy = dyn Fn(&Parts) -> Option<String> + Send + Sync;

impl RecorderLayer {
    /// Returns a layer that records each request.
    pub fn new(recorder: Recorder) -> Self {
        Self {
            options: Arc::new(Options {
                recorder,
                id_header: HeaderName::from_static("x-request-id"),
                has_server_timing: false,
                is_grpc: false,
                continues: true,
                tells_kept: false,
                name_by: None,
            }),
        }
    }

    fn with(mut self, change: impl FnOnce(&mut Options)) -> Self {
        change(Arc::make_mut(&mut self.options));
        self
    }

    /// Adds the header [`Server-Timing`](https://www.w3.org/TR/server-timing/) to responses: the time
    /// and the number of allocations until the head of the response. Browsers show it beside the
    /// request. It reveals to clients what the service does inside.
    #[must_use]
    pub fn server_timing(self, yes: bool) -> Self {
        self.with(|options| options.has_server_timing = yes)
    }

    /// Continues the trace of the caller's header `traceparent`; yes by default. See
    /// [`propagation`](crate::propagation).
    ///
    /// Say no at the edge, if clients outside shall not choose the ids of your traces, nor have them
    /// [kept](crate::recorder::Policy::sampled_upstream) by the header's flag.
    #[must_use]
    pub fn traceparent(self, yes: bool) -> Self {
        self.with(|options| options.continues = yes)
    }

    /// Tells the caller if the request is kept, for
    /// [`Policy::kept_downstream`](crate::recorder::Policy::kept_downstream): by the header `tracer-kept: 1`, or by
    /// a trailer of that name. No by default: it reveals something of the service, so it is not for the edge.
    ///
    /// - **The header** says what is certain when the head of the response is sent: the request failed by its
    ///   status, exceeded a limit on time or allocations, is of an armed route, or another service or the caller
    ///   asked for it. If there is no body, the request is over by then, and the header says all.
    /// - **The trailer** says the rest, at the end of the body, to clients that send `te: trailers`, as those of
    ///   gRPC do. HTTP/1.1 has trailers only if the length of the body is not known.
    /// - **Nobody is told** of what came after the head if the client takes no trailers. A request that was said
    ///   to be kept may be missing if the recorder had no room for it:
    ///   [`Statistics::dropped`](crate::recorder::Statistics::dropped).
    #[must_use]
    pub fn tell_kept(self, yes: bool) -> Self {
        self.with(|options| options.tells_kept = yes)
    }

    /// Names requests without a known route by HTTP method and path, for a service such as tonic's, whose
    /// paths are the names of gRPC methods: `POST /package.Service/Method`. A path of another form is
    /// ignored. Clients can make up names by asking for gRPC methods that do not exist; at most
    /// [`Builder::names`](crate::recorder::Builder::names) names are kept.
    #[must_use]
    pub fn grpc(self, yes: bool) -> Self {
        self.with(|options| options.is_grpc = yes)
    }

    /// Takes ids from this header instead of `x-request-id`.
    #[must_use]
    pub fn id_header(self, name: HeaderName) -> Self {
        self.with(|options| options.id_header = name)
    }

    /// Names requests by this function. Requests for which it returns `None` are named by method and
    /// route.
    ///
    /// It runs for each request. It should return few names: what tells requests apart does not belong
    /// there. A panic in it counts as `None`.
    #[must_use]
    pub fn name_by(
        self,
        name_by: impl Fn(&Parts) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.with(|options| options.name_by = Some(Arc::new(name_by)))
    }
}

impl fmt::Debug for RecorderLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecorderLayer").finish_non_exhaustive()
    }
}

impl<S> Layer<S> for RecorderLayer {
    type Service = RecorderService<S>;

    fn layer(&self, inner: S) -> RecorderService<S> {
        RecorderService {
            inner,
            layer: self.clone(),
        }
    }
}

/// Service with a recorder around it: see [`RecorderLayer`].
#[derive(Clone)]
pub struct RecorderService<S> {
    inner: S,
    layer: RecorderLayer,
}

impl<S: fmt::Debug> fmt::Debug for RecorderService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecorderService")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

impl<S, In, Out> Service<Request<In>> for RecorderService<S>
where
    S: Service<Request<In>, Response = Response<Out>>,
    S::Error: fmt::Display,
    Out: Body,
    Out::Error: fmt::Display,
{
    type Response = Response<RecordedBody<Out>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<In>) -> Self::Future {
        let options = &*self.layer.options;
        let mut name = None;
        if let Some(name_by) = &options.name_by {
            (name, request) = named_by(&**name_by, request);
        }
        let mut exchange = Shared::begin(options, name.as_deref(), &Head::of(&request));
        // The work of the service before it returns a future belongs to the request, too. The guard is dropped when the
        // future is in its place, so that it moves there only once.
        let _polling = exchange.get().and_then(Exchange::begin_poll);
        ResponseFuture {
            future: Some(self.inner.call(request)),
            exchange: exchange.end_poll(),
        }
    }
}
