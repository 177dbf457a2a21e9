//! The steps of the client, the service and the response's body, read from the input.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, StatusCode, Uri};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// `.` pending once.
    Pause,
    /// `x` the client goes away.
    Drop,
    /// `e` an error of the service or of the body.
    Fail,
    /// `P` a panic.
    Panic,
    /// `c` a call that is opened and stopped; `f` one that fails.
    Call,
    FailingCall,
    /// `0` to `9` a frame of *n* times 100 bytes, and one.
    Data(usize),
    /// `t` trailers with `grpc-status: 0`; `T` with a status of failure.
    Trailers,
    FailedTrailers,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Ok,
    Failed,
    Panicked,
    Cancelled,
}

#[derive(Clone, Debug)]
pub struct Script {
    pub has_timing: bool,
    pub is_grpc: bool,
    pub is_named: bool,
    /// Whether the body knows its length.
    pub has_hint: bool,
    pub id_header: Option<HeaderName>,
    pub method: Method,
    uri: Uri,
    headers: HeaderMap,
    pub status: StatusCode,
    pub response_headers: HeaderMap,
    /// The steps of the service until it responds, and then those of the body.
    pub answer: Vec<Step>,
    pub body: Vec<Step>,
}

fn headers<'a>(lines: impl Iterator<Item = &'a [u8]>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    headers
}

/// Returns the lines up to the next empty one.
fn block<'a>(lines: &mut impl Iterator<Item = &'a [u8]>) -> Vec<&'a [u8]> {
    lines.take_while(|line| !line.is_empty()).collect()
}

fn step(byte: u8) -> Option<Step> {
    Some(match byte {
        b'.' => Step::Pause,
        b'x' => Step::Drop,
        b'e' => Step::Fail,
        b'P' => Step::Panic,
        b'c' => Step::Call,
        b'f' => Step::FailingCall,
        b'0'..=b'9' => Step::Data(usize::from(byte - b'0') * 100 + 1),
        b't' => Step::Trailers,
        b'T' => Step::FailedTrailers,
        _ => return None,
    })
}

/// Cuts the steps after an error or trailers.
fn until_end(steps: impl Iterator<Item = Step>) -> Vec<Step> {
    let is_last = |step: &Step| matches!(step, Step::Fail | Step::Trailers | Step::FailedTrailers);
    let mut is_over = false;
    { steps }
        .take_while(|step| !std::mem::replace(&mut is_over, is_last(step)))
        .collect()
}

impl Script {
    pub fn read(input: &[u8]) -> Option<Self> {
        let mut lines = input.split(|byte| *byte == b'\n');
        let request = block(&mut lines);
        let response = block(&mut lines);
        let steps = block(&mut lines).concat();
        let first = std::str::from_utf8(request.first()?).ok()?;
        let mut words = first.split(' ');
        let (options, method, uri) = (words.next()?, words.next()?, words.next()?);
        let status = std::str::from_utf8(response.first()?).ok()?;
        let end = steps.iter().position(|byte| *byte == b';');
        let (answer, body) = steps.split_at(end.unwrap_or(steps.len()));
        let only_answer =
            |step: &Step| !matches!(step, Step::Data(_) | Step::Trailers | Step::FailedTrailers);
        let has = |letter: char| options.contains(letter);
        Some(Self {
            has_timing: has('t'),
            is_grpc: has('g'),
            is_named: has('n'),
            has_hint: has('h'),
            id_header: has('i').then(|| HeaderName::from_static("x-other-id")),
            method: Method::from_bytes(method.as_bytes()).ok()?,
            uri: uri.parse().ok()?,
            headers: headers(request[1..].iter().copied()),
            status: StatusCode::from_bytes(status.as_bytes()).ok()?,
            response_headers: headers(response[1..].iter().copied()),
            answer: answer
                .iter()
                .filter_map(|it| step(*it))
                .filter(only_answer)
                .collect(),
            body: until_end(body.iter().filter_map(|it| step(*it))),
        })
    }

    pub fn request(&self) -> Request<()> {
        let mut request = Request::new(());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        request
    }

    /// Returns the lengths of the data frames.
    pub fn frames(&self) -> impl Iterator<Item = usize> {
        self.body.iter().filter_map(|step| match step {
            Step::Data(length) => Some(*length),
            _ => None,
        })
    }

    /// Returns the length that the body itself states.
    pub fn length(&self) -> Option<u64> {
        let length: usize = self.frames().sum();
        self.has_hint.then_some(length as u64)
    }

    /// Returns the length that the head promises.
    fn in_head(&self) -> Option<u64> {
        let length = self.response_headers.get(header::CONTENT_LENGTH)?;
        length.to_str().ok()?.parse().ok()
    }

    fn promised(&self) -> Option<u64> {
        self.length().or_else(|| self.in_head())
    }

    fn has_body(&self) -> bool {
        let is_connected = self.method == Method::CONNECT && self.status.is_success();
        let none = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED];
        let is_none = self.status.is_informational() || none.contains(&self.status);
        !is_connected && !is_none && self.method != Method::HEAD
    }

    /// Returns the end of the request, or `None` if more than one is right.
    pub fn end(&self) -> Option<End> {
        let fails = |steps: &[Step]| steps.contains(&Step::FailingCall);
        for step in &self.answer {
            match step {
                Step::Panic => return Some(End::Panicked),
                Step::Drop => return Some(End::Cancelled),
                Step::Fail => return Some(End::Failed),
                _ => {}
            }
        }
        let grpc = self.response_headers.get("grpc-status");
        let is_failed_head = self.status.is_server_error() || grpc.is_some_and(|it| it != "0");
        let is_failed_call = fails(&self.answer) && !self.status.is_client_error();
        let by_head = if is_failed_head || is_failed_call {
            End::Failed
        } else {
            End::Ok
        };
        if self.has_hint && self.in_head().is_some() {
            // The head and the body both state a length, which may differ.
            return None;
        }
        let steps = &self.body[..];
        if !self.has_body() || (self.has_hint && steps.is_empty()) {
            return Some(by_head);
        }
        let mut sent = 0;
        let mut is_asked_for = false;
        let promised = self.promised();
        for step in steps {
            match step {
                Step::Drop => {
                    let is_whole = promised.is_some_and(|promised| sent >= promised);
                    let is_cancelled = is_asked_for && !is_whole;
                    if by_head == End::Failed && is_failed_head {
                        return Some(End::Failed);
                    }
                    return if is_cancelled {
                        Some(End::Cancelled)
                    } else {
                        None
                    };
                }
                // It is polled until it comes to this step.
                Step::Panic if is_failed_head => return Some(End::Failed),
                Step::Panic => return Some(End::Panicked),
                Step::Fail | Step::FailedTrailers => return Some(End::Failed),
                Step::Data(length) => sent += *length as u64,
                _ => {}
            }
            is_asked_for = true;
        }
        match promised {
            // The client gets an error.
            Some(promised) if sent < promised => Some(End::Failed),
            Some(promised) if sent > promised => None,
            _ if fails(steps) => None,
            _ => Some(by_head),
        }
    }
}
