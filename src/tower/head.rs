//! `Head`: the head of a request, and the name that it gives the request.

use axum::extract::{MatchedPath, OriginalUri};
use http::{Extensions, HeaderMap, Method, Request, Uri};

use crate::primitives::text::unless_it_panics;
use crate::recorder::Name;

use super::{NameBy, Options};

/// The head of a request. It stays where it is, since to take a request apart moves all of it.
pub(super) struct Head<'a> {
    pub(super) method: &'a Method,
    /// Its name, if it is one of the nine.
    pub(super) known: Option<&'static str>,
    uri: &'a Uri,
    pub(super) headers: &'a HeaderMap,
    extensions: &'a Extensions,
}

impl<'a> Head<'a> {
    pub(super) fn of<T>(request: &'a Request<T>) -> Self {
        Self {
            method: request.method(),
            known: known(request.method()),
            uri: request.uri(),
            headers: request.headers(),
            extensions: request.extensions(),
        }
    }

    /// Returns the path that the client asked for. A nested router of axum gets only the rest of it.
    pub(super) fn whole_path(&self) -> &'a str {
        let asked = self.extensions.get::<OriginalUri>();
        asked.map_or(self.uri, |asked| &asked.0).path()
    }
}

/// Returns the name that the program's own rule gives. It gets the request's parts, which are put together again.
pub(super) fn named_by<T>(name_by: &NameBy, request: Request<T>) -> (Option<String>, Request<T>) {
    let (parts, body) = request.into_parts();
    let name = alloc_counter::exclude(|| unless_it_panics(|| name_by(&parts)).flatten());
    (name, Request::from_parts(parts, body))
}

/// Returns method and route.
pub(super) fn name<'a>(options: &Options, head: &Head<'a>) -> Name<'a> {
    let method = head.known.unwrap_or("HTTP");
    let route = head.extensions.get::<MatchedPath>();
    let route = route.map(MatchedPath::as_str);
    // A route that matches everything is not a gRPC method.
    let is_known = || route.is_some_and(|route| !route.contains("{*"));
    let route = if options.is_grpc && !is_known() {
        Some(head.uri.path())
            .filter(|path| is_grpc_method(path))
            .or(route)
    } else {
        route
    };
    if let Some(route) = route {
        Name::spaced(method, route)
    } else if head.extensions.get::<OriginalUri>().is_some() {
        // An axum router has no route for it.
        Name::spaced(method, "(no route)")
    } else {
        Name::of(method)
    }
}

/// The methods of <https://www.rfc-editor.org/rfc/rfc9110#section-9> and
/// <https://www.rfc-editor.org/rfc/rfc5789>. Any other text may come from a client.
fn known(method: &Method) -> Option<&'static str> {
    Some(match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::CONNECT => "CONNECT",
        Method::OPTIONS => "OPTIONS",
        Method::TRACE => "TRACE",
        Method::PATCH => "PATCH",
        _ => return None,
    })
}

/// `/package.Service/Method`
fn is_grpc_method(path: &str) -> bool {
    let is_name = |name: &str| {
        let mut bytes = name.bytes();
        !name.is_empty() && bytes.all(|it| it.is_ascii_alphanumeric() || matches!(it, b'.' | b'_'))
    };
    let names = path.strip_prefix('/').and_then(|it| it.split_once('/'));
    names.is_some_and(|(service, method)| is_name(service) && is_name(method))
}
