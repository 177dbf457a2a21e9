//! A layer around a client of HTTP requests.

use std::fmt::{self, Display};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::store::callsite::Callsite;
use crate::store::trace::Trace;
use crate::write::call::Call;
use crate::write::current::caller_here;
use crate::write::future::Held;

use super::body::PropagatedBody;
use super::{says_kept, write};

static OUTGOING: Callsite = Callsite::new("outgoing", module_path!(), file!(), line!()).with_id();

/// Layer around a client of HTTP requests, such as hyper's or a tonic channel, that takes the current trace
/// along: see the [module](super).
///
/// Around each request is a call named `outgoing`, with method and host as its id, and the response's status as a
/// checkpoint. It is the parent of what the callee does, and fails if the client returns an error. It ends with the
/// head of the response. The path is not recorded, as it often contains secrets; open a call of your own around the
/// request to name it.
///
/// Without a current trace, requests are sent as they are.
///
/// ```
/// use std::convert::Infallible;
///
/// use http::{Request, Response};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
/// use tracer::Trace;
/// use tracer::propagation::PropagationLayer;
///
/// let client = ServiceBuilder::new()
///     .layer(PropagationLayer::new())
///     .service(service_fn(async |request: Request<String>| {
///         assert!(request.headers().contains_key("traceparent"));
///         Ok::<_, Infallible>(Response::new(String::new()))
///     }));
/// let request = Request::get("http://inventory/items/7").body(String::new())?;
///
/// let trace = Trace::new();
/// let runtime = tokio::runtime::Runtime::new()?;
/// runtime.block_on(trace.instrument(async { client.oneshot(request).await }))?;
/// let call = &trace.report().calls[0];
/// assert_eq!((&*call.name, call.id.as_deref()), ("outgoing", Some("GET inventory")));
/// assert_eq!(call.checkpoints[0].name, "200 OK");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct PropagationLayer {}

impl PropagationLayer {
    /// Returns the layer.
    pub const fn new() -> Self {
        Self {}
    }
}

impl<S> Layer<S> for PropagationLayer {
    type Service = Propagated<S>;

    fn layer(&self, inner: S) -> Propagated<S> {
        Propagated { inner }
    }
}

/// Client that takes the current trace along: see [`PropagationLayer`].
#[derive(Clone, Copy, Debug)]
pub struct Propagated<S> {
    inner: S,
}

impl<S, In, Out> Service<Request<In>> for Propagated<S>
where
    S: Service<Request<In>, Response = Response<Out>>,
    S::Error: Display,
{
    type Response = Response<PropagatedBody<Out>>;
    type Error = S::Error;
    type Future = PropagatedFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<In>) -> Self::Future {
        let call = Call::open_with(&OUTGOING, Some(&Target(&request)), &[]);
        let trace = caller_here();
        if let Some(trace) = &trace {
            write(trace, request.headers_mut());
        }
        let future = self.inner.call(request);
        let mut held = Held::new(call);
        held.begin_aside();
        PropagatedFuture {
            future,
            held,
            trace,
        }
    }
}

/// Displays the method and the host.
struct Target<'a, B>(&'a Request<B>);

impl<B> Display for Target<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.method())?;
        let in_header = || self.0.headers().get(http::header::HOST)?.to_str().ok();
        match self.0.uri().host().or_else(in_header) {
            Some(host) => write!(f, " {host}"),
            None => Ok(()),
        }
    }
}

pin_project! {
    /// Future of a [`Propagated`] client's response.
    #[must_use = "futures do nothing unless polled"]
    pub struct PropagatedFuture<F> {
        // Dropped first, while the call is open. `held` stops the call.
        #[pin]
        future: F,
        held: Held,
        trace: Option<Trace>,
    }

    impl<F> PinnedDrop for PropagatedFuture<F> {
        fn drop(this: Pin<&mut Self>) {
            this.project().held.begin_cancel();
        }
    }
}

impl<F, Out, E> Future for PropagatedFuture<F>
where
    F: Future<Output = Result<Response<Out>, E>>,
    E: Display,
{
    type Output = Result<Response<PropagatedBody<Out>>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let look = |answer: &Result<Response<Out>, E>, call: &Call| match answer {
            Ok(response) => call.checkpoint(&shown(response.status())),
            Err(error) => call.fail(error),
        };
        let polled = this.held.poll(|| this.future.poll(context), look);
        polled.map_ok(|response| {
            let mut trace = this.trace.take();
            if let Some(kept) = trace.take_if(|_| says_kept(response.headers())) {
                kept.note_kept_downstream();
            }
            // If it is not known yet, the trailers may say so.
            response.map(|body| PropagatedBody::new(body, trace))
        })
    }
}

/// Returns a status as text.
fn shown(status: http::StatusCode) -> arrayvec::ArrayString<64> {
    let mut text = arrayvec::ArrayString::new();
    // The longest known reason fits.
    let _ = fmt::Write::write_fmt(&mut text, format_args!("{status}"));
    text
}

impl<F> fmt::Debug for PropagatedFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PropagatedFuture").finish_non_exhaustive()
    }
}
