//! The service and the body that follow the script.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Body, Frame, SizeHint};
use tower_service::Service;
use tracer::call;
use tracer::tower::RequestId;

use crate::script::{Script, Step};

/// The parts of the request that the service saw.
#[derive(Default)]
pub struct Seen {
    pub id: Option<String>,
    /// The step that was pending.
    step: Option<Step>,
}

thread_local! {
    static SEEN: RefCell<Seen> = RefCell::default();
}

pub fn take_seen() -> Seen {
    SEEN.take()
}

/// Returns the step at which the service or the body became pending.
pub fn came_to() -> Option<Step> {
    SEEN.with_borrow(|seen| seen.step)
}

fn pending<T>(step: Step) -> Poll<T> {
    SEEN.with_borrow_mut(|seen| seen.step = Some(step));
    Poll::Pending
}

#[derive(Debug)]
pub struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("broken\n\u{202e}")
    }
}

impl std::error::Error for Broken {}

#[derive(Clone)]
pub struct Scripted {
    script: Script,
}

impl Scripted {
    pub fn of(script: &Script) -> Self {
        Self {
            script: script.clone(),
        }
    }
}

impl Service<Request<()>> for Scripted {
    type Response = Response<ScriptedBody>;
    type Error = Broken;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Answer {
        let id = RequestId::current();
        let id = id.map(|id| id.to_string());
        tracer::alloc::exclude(|| SEEN.set(Seen { id, step: None }));
        Answer {
            script: self.script.clone(),
            next: 0,
        }
    }
}

pub struct Answer {
    script: Script,
    next: usize,
}

impl Future for Answer {
    type Output = Result<Response<ScriptedBody>, Broken>;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        while let Some(step) = self.script.answer.get(self.next).copied() {
            self.next += 1;
            match step {
                Step::Pause | Step::Drop => return pending(step),
                Step::Fail => return Poll::Ready(Err(Broken)),
                Step::Panic => resume_unwind(Box::new(())),
                Step::Call => call!().stop(),
                Step::FailingCall => call!().fail("no database"),
                Step::Data(_) | Step::Trailers | Step::FailedTrailers => {}
            }
        }
        let script = self.script.clone();
        let mut response = Response::new(());
        *response.status_mut() = script.status;
        *response.headers_mut() = script.response_headers.clone();
        Poll::Ready(Ok(response.map(|()| ScriptedBody { script, next: 0 })))
    }
}

pub struct ScriptedBody {
    script: Script,
    next: usize,
}

impl Body for ScriptedBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        while let Some(step) = self.script.body.get(self.next).copied() {
            self.next += 1;
            let trailers = |status: &'static str| {
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", HeaderValue::from_static(status));
                trailers.insert("grpc-message", HeaderValue::from_static("a%20b%ff%"));
                Poll::Ready(Some(Ok(Frame::trailers(trailers))))
            };
            match step {
                Step::Pause | Step::Drop => return pending(step),
                Step::Fail => return Poll::Ready(Some(Err(Broken))),
                Step::Panic => resume_unwind(Box::new(())),
                Step::Call => call!().stop(),
                Step::FailingCall => call!().fail("no database"),
                Step::Data(length) => {
                    let data = Bytes::from(vec![b'x'; length]);
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Step::Trailers => return trailers("0"),
                Step::FailedTrailers => return trailers("13"),
            }
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.script.has_hint && self.next == self.script.body.len()
    }

    fn size_hint(&self) -> SizeHint {
        let length = self.script.length();
        length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
