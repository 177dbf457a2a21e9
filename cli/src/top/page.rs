//! A recorder's page as the source: a client of HTTP/1.1 that blocks its thread.

use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tracer::Report;
use ureq::Agent;
use ureq::http::StatusCode;

use super::address::Address;
use super::model::{InFlight, Kept, Key, Overview, Problem, Source};
use super::schema;
use super::text::escaped;

/// A trace at its default limits takes some 10 MiB.
const MOST_BYTES: u64 = 64 << 20;
/// A search of files takes 5 seconds at most.
const PATIENCE: Duration = Duration::from_secs(10);
const PATIENCE_TO_CONNECT: Duration = Duration::from_secs(3);

pub(crate) struct Page {
    agent: Agent,
    address: Address,
}

impl Page {
    pub(crate) fn new(address: Address) -> Self {
        let config = Agent::config_builder()
            // The page refuses proxies, and a redirect could lead elsewhere.
            .proxy(None)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            .timeout_connect(Some(PATIENCE_TO_CONNECT))
            .user_agent(concat!("tracer-top/", env!("CARGO_PKG_VERSION")))
            .build();
        Self {
            agent: config.new_agent(),
            address,
        }
    }

    /// Gets the JSON of the page at a path.
    fn get(&self, path: &str) -> Result<Vec<u8>, Problem> {
        let failed = |why: &dyn std::fmt::Display| {
            let why = why.to_string();
            Problem(escaped(&why))
        };
        let request = self
            .agent
            .get(self.address.below(path))
            .header("accept", "application/json");
        let request = match self.address.token() {
            Some(token) => request.header("authorization", token),
            None => request,
        };
        let mut answer = request.call().map_err(|why| failed(&Unanswered(why)))?;
        let body = answer.body_mut().with_config().limit(MOST_BYTES);
        let body = body.read_to_vec().map_err(|why| match why {
            ureq::Error::BodyExceedsLimit(most) => failed(&format_args!(
                "the answer is too long: expected {} MiB at most",
                most >> 20
            )),
            why => failed(&Unanswered(why)),
        })?;
        match answer.status() {
            StatusCode::OK => Ok(body),
            StatusCode::UNAUTHORIZED if self.address.token().is_some() => Err(failed(
                &"the token was refused: expected that of the address which the service printed at its last start",
            )),
            StatusCode::UNAUTHORIZED => Err(failed(
                &"no token was given: expected the address as the service printed it, or TRACER_TOKEN",
            )),
            status => Err(match schema::error(&body) {
                Some(message) => failed(&format_args!("{message} ({})", status.as_u16())),
                None => failed(&format_args!(
                    "expected the page of a recorder: the answer has the status {}",
                    status.as_u16()
                )),
            }),
        }
    }
}

impl Source for Page {
    fn overview(&mut self) -> Result<Overview, Problem> {
        schema::overview(&self.get("")?)
    }

    fn in_flight(&mut self) -> Result<InFlight, Problem> {
        schema::in_flight(&self.get("/in-flight")?)
    }

    fn route(&mut self, name: &str) -> Result<Vec<Kept>, Problem> {
        let name = utf8_percent_encode(name, NON_ALPHANUMERIC);
        schema::route(&self.get(&format!("/route?name={name}"))?)
    }

    fn trace(&mut self, key: Key) -> Result<Report, Problem> {
        let Key {
            started_unix_ns,
            trace,
        } = key;
        schema::trace(&self.get(&format!("/trace/{trace}?started={started_unix_ns}"))?)
    }
}

/// An error without an answer, and what was expected.
struct Unanswered(ureq::Error);

impl std::fmt::Display for Unanswered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            ureq::Error::Timeout(_) => {
                write!(f, "no answer: expected one within {} s", PATIENCE.as_secs())
            }
            ureq::Error::HostNotFound => f.write_str("expected a host that exists"),
            ureq::Error::Io(why) => write!(f, "{why}: expected a service that listens there"),
            why => write!(f, "{why}: expected an answer of HTTP/1.1"),
        }
    }
}
