//! What an answer of a collector means: <https://opentelemetry.io/docs/specs/otlp/>.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode};
use percent_encoding::percent_decode;
use prost::Message;

use super::Protocol;
use super::connection::Answer;
use super::messages::{Response, RetryInfo, RpcStatus, from_base64};

/// What became of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The collector has taken it, except for some spans, for this reason.
    Taken { refused: u64, why: String },
    /// It is to be sent again, after the time that the collector has told.
    Again {
        after: Option<Duration>,
        why: String,
    },
    /// It is not to be sent again.
    Refused(String),
}

impl Verdict {
    pub(super) fn of(answer: &Answer, protocol: Protocol) -> Self {
        match protocol {
            Protocol::Grpc if answer.status == StatusCode::OK => of_grpc(answer),
            _ => of_http(answer, protocol),
        }
    }
}

fn of_http(answer: &Answer, protocol: Protocol) -> Verdict {
    if answer.status.is_success() {
        return taken(answer, protocol);
    }
    let said = match protocol {
        Protocol::HttpProtobuf => RpcStatus::decode(&*answer.body).ok().map(|it| it.message),
        Protocol::HttpJson => serde_json::from_slice::<serde_json::Value>(&answer.body)
            .ok()
            .and_then(|it| Some(it.get("message")?.as_str()?.to_owned())),
        Protocol::Grpc => None,
    };
    let why = reason(format!("HTTP status {}", answer.status), said.as_deref());
    match answer.status.as_u16() {
        429 | 502 | 503 | 504 => Verdict::Again {
            after: retry_after(&answer.headers, SystemTime::now()),
            why,
        },
        _ => Verdict::Refused(why),
    }
}

/// Returns the status with what the collector has said about it.
fn reason(status: String, said: Option<&str>) -> String {
    match said {
        None | Some("") => status,
        Some(said) => format!("{status}: {said}"),
    }
}

/// A collector may not ask for a longer wait than a day.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Returns how long to wait by `retry-after`, which has a number of seconds or a date.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(http::header::RETRY_AFTER)?.to_str().ok()?;
    let value = value.trim();
    let time = match value.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        // One that is over, by this clock, has come.
        Err(_) => { httpdate::parse_http_date(value).ok()? }
            .duration_since(now)
            .unwrap_or_default(),
    };
    Some(time.min(LONGEST))
}

/// Returns what is in the answer of a collector that has taken a batch. One that does not end says nothing more.
fn taken(answer: &Answer, protocol: Protocol) -> Verdict {
    if !answer.is_whole {
        return Verdict::Taken {
            refused: 0,
            why: "the answer did not end".to_owned(),
        };
    }
    let partial = match protocol {
        Protocol::HttpJson => serde_json::from_slice::<serde_json::Value>(&answer.body)
            .ok()
            .and_then(|it| {
                let partial = it.get("partialSuccess")?;
                let number = partial.get("rejectedSpans");
                // A whole number of 64 bits is a text in this encoding, but some write a number.
                let number = number.and_then(|it| it.as_i64().or(it.as_str()?.parse().ok()));
                let why = partial.get("errorMessage").and_then(|it| it.as_str());
                Some((number.unwrap_or(0), why.unwrap_or_default().to_owned()))
            }),
        _ => Response::decode(message(answer, protocol))
            .ok()
            .and_then(|it| it.partial_success)
            .map(|it| (it.rejected_spans, it.error_message)),
    };
    let (refused, why) = partial.unwrap_or_default();
    Verdict::Taken {
        refused: u64::try_from(refused).unwrap_or(0),
        why,
    }
}

/// Returns the message in the body.
fn message(answer: &Answer, protocol: Protocol) -> &[u8] {
    match protocol {
        Protocol::Grpc => answer.body.get(5..).unwrap_or_default(),
        _ => &answer.body,
    }
}

/// Codes of gRPC after which the specification says to try again.
const RETRYABLE: [u32; 6] = [1, 4, 10, 11, 14, 15];
/// The collector has no room. To be tried again only if it says when.
const RESOURCE_EXHAUSTED: u32 = 8;

fn of_grpc(answer: &Answer) -> Verdict {
    // An answer without a body has it in the head.
    let field = |name| answer.trailers.get(name).or(answer.headers.get(name));
    let Some(code) = field("grpc-status") else {
        return Verdict::Again {
            after: None,
            why: "an answer without a status of gRPC".to_owned(),
        };
    };
    let code = code.to_str().ok().and_then(|it| it.parse().ok());
    if code == Some(0) {
        return taken(answer, Protocol::Grpc);
    }
    let code = code.unwrap_or(2);
    let said = field("grpc-message").map(|it| percent_decode(it.as_bytes()).decode_utf8_lossy());
    let why = reason(format!("gRPC status {code}"), said.as_deref());
    let after = field("grpc-status-details-bin").and_then(|it| retry_delay(it.as_bytes()));
    if RETRYABLE.contains(&code) || (code == RESOURCE_EXHAUSTED && after.is_some()) {
        Verdict::Again { after, why }
    } else {
        Verdict::Refused(why)
    }
}

/// Returns the time in the details of a status.
fn retry_delay(details: &[u8]) -> Option<Duration> {
    let status = RpcStatus::decode(&*from_base64(details)?).ok()?;
    let info = { status.details.iter() }.find(|it| it.type_url.ends_with("google.rpc.RetryInfo"));
    let delay = RetryInfo::decode(&*info?.value).ok()?.retry_delay?;
    let seconds = u64::try_from(delay.seconds).ok()?;
    let nanos = Duration::from_nanos(u64::try_from(delay.nanos).ok()?);
    Some((Duration::from_secs(seconds) + nanos).min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: &[(&'static str, &str)], body: &[u8]) -> Answer {
        let headers = headers.iter().map(|(name, value)| {
            let value = http::HeaderValue::from_str(value).unwrap();
            (http::HeaderName::from_static(name), value)
        });
        Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: headers.collect(),
            body: body.to_vec(),
            trailers: HeaderMap::new(),
            is_whole: true,
        }
    }

    fn again(after: Option<u64>, why: &str) -> Verdict {
        Verdict::Again {
            after: after.map(Duration::from_secs),
            why: why.to_owned(),
        }
    }

    fn taken(refused: u64, why: &str) -> Verdict {
        Verdict::Taken {
            refused,
            why: why.to_owned(),
        }
    }

    #[test]
    fn statuses_of_http() {
        let http = Protocol::HttpProtobuf;
        let of =
            |status, headers: &[_], body: &[u8]| Verdict::of(&answer(status, headers, body), http);
        assert_eq!(of(200, &[], b""), taken(0, ""));
        // Some collectors answer with a text.
        assert_eq!(of(202, &[], b"{}"), taken(0, ""));
        assert_eq!(of(200, &[], b"\x0a\x06\x08\x03\x12\x02no"), taken(3, "no"));
        assert_eq!(
            of(503, &[("retry-after", "7")], b""),
            again(Some(7), "HTTP status 503 Service Unavailable")
        );
        assert_eq!(
            of(503, &[("retry-after", "18446744073709551615")], b""),
            again(Some(86400), "HTTP status 503 Service Unavailable")
        );
        assert_eq!(
            of(
                429,
                &[("retry-after", "Fri, 31 Dec 1999 23:59:59 GMT")],
                b""
            ),
            again(Some(0), "HTTP status 429 Too Many Requests")
        );
        assert_eq!(
            of(400, &[], b"\x08\x03\x12\x03bad"),
            Verdict::Refused("HTTP status 400 Bad Request: bad".to_owned())
        );
        assert_eq!(
            of(302, &[("location", "/")], b""),
            Verdict::Refused("HTTP status 302 Found".to_owned())
        );
        let json = br#"{"partialSuccess":{"rejectedSpans":"2","errorMessage":"x"}}"#;
        let json = Verdict::of(&answer(200, &[], json), Protocol::HttpJson);
        assert_eq!(json, taken(2, "x"));
    }

    #[test]
    fn retry_after_is_a_number_of_seconds_or_a_date() {
        // Sun, 06 Nov 1994 08:49:37 GMT.
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (value, expected) in [
            ("0", Some(0)),
            (" 120 ", Some(120)),
            ("Sun, 06 Nov 1994 08:51:37 GMT", Some(120)),
            ("Sunday, 06-Nov-94 08:50:37 GMT", Some(60)),
            ("Sun Nov  6 08:49:38 1994", Some(1)),
            ("Sun, 06 Nov 1994 08:49:36 GMT", Some(0)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(86400)),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("Sun, 06 Nov 1994", None),
        ] {
            let answer = answer(503, &[("retry-after", value)], b"");
            let after = retry_after(&answer.headers, now);
            assert_eq!(after, expected.map(Duration::from_secs), "{value}");
        }
    }

    #[test]
    fn statuses_of_grpc() {
        let of =
            |headers: &[_], body: &[u8]| Verdict::of(&answer(200, headers, body), Protocol::Grpc);
        assert_eq!(of(&[("grpc-status", "0")], b"\0\0\0\0\0"), taken(0, ""));
        assert_eq!(
            of(&[("grpc-status", "0")], b"\0\0\0\0\x04\x0a\x02\x08\x05"),
            taken(5, "")
        );
        let unavailable = [("grpc-status", "14"), ("grpc-message", "a%20b")];
        assert_eq!(of(&unavailable, b""), again(None, "gRPC status 14: a b"));
        assert_eq!(
            of(&[("grpc-status", "8")], b""),
            Verdict::Refused("gRPC status 8".to_owned())
        );
        // Made by protobuf of PyPI: code 8, and a RetryInfo of 2.5 s.
        let details =
            "CAgaNgoodHlwZS5nb29nbGVhcGlzLmNvbS9nb29nbGUucnBjLlJldHJ5SW5mbxIKCggIAhCAyrXuAQ";
        let exhausted = [("grpc-status", "8"), ("grpc-status-details-bin", details)];
        let Verdict::Again { after, .. } = of(&exhausted, b"") else {
            panic!("{:?}", of(&exhausted, b""));
        };
        assert_eq!(after, Some(Duration::from_millis(2500)));
        // The same with 9223372036854775807 s.
        let details = "CAgaPgoodHlwZS5nb29nbGVhcGlzLmNvbS9nb29nbGUucnBjLlJldHJ5SW5mbxISChAI//////////9/EIDKte4B";
        assert_eq!(retry_delay(details.as_bytes()), Some(LONGEST));
        assert_eq!(
            of(&[], b""),
            again(None, "an answer without a status of gRPC")
        );
        assert_eq!(
            Verdict::of(&answer(503, &[], b""), Protocol::Grpc),
            again(None, "HTTP status 503 Service Unavailable")
        );
    }
}
