//! A request to the collector.

use std::io::Write;

use bytes::Bytes;
use flate2::write::GzEncoder;
use http::header::{self, HeaderValue};
use http::{Method, Request};
use http_body_util::Full;

use crate::export::otlp::{Enclosed, Resource, encode_envelope};

use super::settings::Settings;
use super::{Compression, Protocol};

/// Returns the request with these encoded spans, or why there is none.
pub(super) fn request(settings: &Settings, spans: Vec<u8>) -> Result<Request<Full<Bytes>>, String> {
    let body = body(settings, spans).map_err(|error| error.to_string())?;
    let is_grpc = settings.protocol == Protocol::Grpc;
    let target = if is_grpc {
        format!(
            "{}://{}{}",
            settings.endpoint.scheme(),
            settings.endpoint.authority,
            settings.endpoint.path
        )
    } else {
        settings.endpoint.path.clone()
    };
    let mut request = Request::builder().method(Method::POST).uri(target);
    if let Some(headers) = request.headers_mut() {
        headers.extend(settings.headers.clone());
        let user_agent = HeaderValue::from_static(USER_AGENT);
        headers.entry(header::USER_AGENT).or_insert(user_agent);
        let content_type = match settings.protocol {
            Protocol::Grpc => "application/grpc",
            Protocol::HttpProtobuf => "application/x-protobuf",
            Protocol::HttpJson => "application/json",
        };
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        let encoding = match (settings.compression, is_grpc) {
            (Compression::None, _) => None,
            (Compression::Gzip, true) => Some("grpc-encoding"),
            (Compression::Gzip, false) => Some("content-encoding"),
        };
        if let Some(encoding) = encoding {
            headers.insert(encoding, HeaderValue::from_static("gzip"));
        }
        if is_grpc {
            headers.insert(header::TE, HeaderValue::from_static("trailers"));
        } else {
            let host = HeaderValue::from_str(&settings.endpoint.authority);
            headers.insert(header::HOST, host.map_err(|error| error.to_string())?);
        }
    }
    let request = request.body(Full::new(Bytes::from(body)));
    request.map_err(|error| error.to_string())
}

const USER_AGENT: &str = concat!("tracer/", env!("CARGO_PKG_VERSION"));

fn body(settings: &Settings, spans: Vec<u8>) -> std::io::Result<Vec<u8>> {
    let (before, after) = match settings.protocol {
        Protocol::HttpJson => around_json(&settings.resource)?,
        _ => (encode_envelope(&settings.resource, spans.len()), Vec::new()),
    };
    // The length of a message of gRPC, and whether it is compressed, stand before it.
    let head = if settings.protocol == Protocol::Grpc {
        5
    } else {
        0
    };
    let bytes = before.len() + spans.len() + after.len();
    let mut body = vec![0; head];
    if settings.compression == Compression::Gzip {
        let mut gzip = GzEncoder::new(body, flate2::Compression::fast());
        for part in [before, spans, after] {
            gzip.write_all(&part)?;
        }
        body = gzip.finish()?;
    } else {
        body.reserve_exact(bytes);
        for part in [before, spans, after] {
            body.extend(part);
        }
    }
    let length = u32::try_from(body.len() - head).map_err(std::io::Error::other)?;
    if let Some((is_compressed, rest)) = body[..head].split_first_mut() {
        *is_compressed = u8::from(settings.compression == Compression::Gzip);
        rest.copy_from_slice(&length.to_be_bytes());
    }
    Ok(body)
}

/// Returns what comes before and after the spans.
fn around_json(resource: &Resource) -> std::io::Result<(Vec<u8>, Vec<u8>)> {
    let spans: &[()] = &[];
    let mut before = serde_json::to_vec(&Enclosed { resource, spans })?;
    // The list of spans is the last one that opens.
    let opens = before.iter().rposition(|byte| *byte == b'[');
    let after = before.split_off(opens.map_or(0, |at| at + 1));
    Ok((before, after))
}
