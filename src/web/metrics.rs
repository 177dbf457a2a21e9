//! The figures for Prometheus.

use axum::http::header;
use axum::response::{IntoResponse, Response};

use crate::metrics::{CONTENT_TYPE, encode};

use super::{Asked, Mounted};

pub(super) fn page(page: &Mounted, _: &Asked) -> Response {
    (
        [(header::CONTENT_TYPE, CONTENT_TYPE)],
        encode(&page.recorder),
    )
        .into_response()
}
