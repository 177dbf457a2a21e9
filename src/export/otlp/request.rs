//! The attributes of a request, with OpenTelemetry's conventions for HTTP.

use crate::report::duration::nanoseconds;
use crate::report::{Report, Request};

use super::attributes::{Attributes, label};
use super::span::Value;

/// Methods in names that the layer of HTTP requests gives.
const METHODS: [&str; 9] = [
    "CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE",
];

/// Labels of that layer, which have names of their own in the conventions.
const CONVERTED: [&str; 4] = ["method", "path", "status", "sent"];

impl<'a> Attributes<'a> {
    /// Adds the attributes of the whole trace.
    pub(super) fn report(&mut self, report: &'a Report) {
        if let Some(request) = &report.request {
            self.add("tracer.kept", Value::Flag(true));
            self.add("tracer.reason", Value::Texts((&*request.reasons).into()));
            if let Some(id) = &request.id {
                self.text("tracer.request_id", id);
            }
        }
        self.number("tracer.trace", report.trace);
        self.counts(report.total.as_ref());
        if let Some(subscriber) = &report.subscriber {
            self.number("heap.subscriber.allocations", subscriber.allocates());
            self.number("heap.subscriber.bytes", subscriber.bytes_allocated);
        }
        self.outcome(report.outcome());
        let folded = &report.folded;
        let folded = { folded.iter() }.fold(0, |sum: u64, path| sum.saturating_add(path.calls));
        for (key, number) in [
            ("tracer.folded_calls", folded),
            ("tracer.dropped_records", report.dropped),
        ] {
            if number > 0 {
                self.number(key, number);
            }
        }
        if let Some(request) = &report.request {
            self.number("tracer.wall_ns", nanoseconds(request.wall));
            if let Some(compared) = &request.compared {
                self.compared(compared);
            }
            self.sites(report.sites.as_deref());
            self.request(request);
        } else {
            self.sites(report.sites.as_deref());
        }
    }

    /// Adds the labels, and what the name and the labels of an HTTP request say.
    fn request(&mut self, request: &'a Request) {
        let (method, route) = match request.name.split_once(' ') {
            Some((method, route)) => (method, Some(route)),
            None => (&*request.name, None),
        };
        let status = label(&request.labels, "status").and_then(|it| it.parse().ok());
        let path = label(&request.labels, "path");
        let is_known = METHODS.contains(&method);
        // A job may have such a name too. Only the layer has labels for both.
        let is_of_layer = path.is_some() && (is_known || method == "HTTP");
        if !is_of_layer {
            return self.labels(request.labels.iter());
        }
        let original = label(&request.labels, "method");
        self.text(
            "http.request.method",
            if is_known { method } else { "_OTHER" },
        );
        if let Some(original) = original {
            self.text("http.request.method_original", original);
        }
        // Without a route, the layer names it otherwise.
        if let Some(route) = route.filter(|route| route.starts_with('/')) {
            self.text("http.route", route);
        }
        if let Some(path) = path {
            self.text("url.path", path);
        }
        if let Some(status) = status {
            self.number("http.response.status_code", status);
        }
        let sent = label(&request.labels, "sent").and_then(|it| it.parse().ok());
        if let Some(sent) = sent {
            self.number("http.response.body.size", sent);
        }
        let others = request.labels.iter();
        self.labels(others.filter(|(name, _)| !CONVERTED.contains(&&**name)));
    }
}
