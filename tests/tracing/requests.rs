//! Root spans as requests of a recorder.

use tracer::recorder::Recorder;
use tracing::subscriber::with_default;
use tracing::{info_span, instrument};

use crate::{allocate, tree, with_layer};

#[instrument]
fn handle() {
    drop(allocate(1));
}

#[test]
fn a_server_span_is_a_request() {
    let recorder = Recorder::builder().start().unwrap();
    let subscriber = with_layer(tracer::tracing::layer().recorder(recorder.clone()));
    with_default(subscriber, || {
        info_span!("background").in_scope(handle);
        for id in ["a", "b"] {
            let span = info_span!(
                "request",
                otel.kind = "server",
                http.route = "/orders",
                method = "GET",
                request_id = id
            );
            span.in_scope(handle);
            span.in_scope(|| tracing::info!(error = "broken pipe", "failed"));
        }
    });
    assert!(recorder.flush(std::time::Duration::from_secs(10)));
    let kept = recorder.kept();
    println!("{:#}", kept[0]);
    assert_eq!(recorder.statistics().ended, 2);
    assert_eq!(recorder.routes()[0].name, "GET /orders");
    assert_eq!(kept.len(), 2);
    assert_eq!(tree(&kept[0]), "request 1 failed\n  handle 1\n");
    let request = kept[0].request.as_ref().unwrap();
    assert_eq!(request.id.as_deref(), Some("b"));
}
