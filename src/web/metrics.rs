//! The figures for Prometheus.

use axum::http::header;
use axum::response::{IntoResponse, Response};

use crate::metrics::{CONTENT_TYPE, encode};

use super::{Asked, Mounted, Refused};

pub(super) fn page(page: &Mounted, _: &Asked) -> Result<Response, Refused> {
    let text = encode(page.recorder()?);
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}
