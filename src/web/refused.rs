//! The page that is shown instead of one that is refused.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::access::TOKEN;
use super::{Asked, Refused, json, layout};

impl Refused {
    pub(super) fn page(self, asked: &Asked) -> Response {
        let Self(status, why) = self;
        if asked.is_json {
            return json::error(status, &why);
        }
        let reason = status.canonical_reason().unwrap_or_default();
        let content = maud::html! {
            h1 { (status.as_u16()) " " (reason) }
            p { (why) }
        };
        (status, layout::page(asked, reason, None, &content)).into_response()
    }

    /// Makes the response for unauthorised clients, without links and anything about the recorder.
    pub(super) fn page_outside(self, asked: &Asked) -> Response {
        let Self(status, why) = self;
        let reason = status.canonical_reason().unwrap_or_default();
        let asks_for_token = status == StatusCode::UNAUTHORIZED;
        let content = maud::html! {
            h1 { (status.as_u16()) " " (reason) }
            p { (why.as_str()) }
            @if asks_for_token {
                form action=(asked.here) {
                    label { "Token " input type="password" name=(TOKEN) required autofocus; }
                    " " button { "Open" }
                }
            }
        };
        let mut response = if asked.is_json {
            json::error(status, &why)
        } else {
            (status, layout::bare(reason, &content)).into_response()
        };
        if asks_for_token {
            let scheme = HeaderValue::from_static("Bearer");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}
