//! Root spans as requests of a recorder.

use std::time::Duration;

use axum::Router;
use tracer::recorder::{Policy, Recorder};
use tracing::dispatcher::with_default as with_dispatch;
use tracing::subscriber::with_default;
use tracing::{Dispatch, info_span, instrument};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::SubscriberExt;

use crate::{allocate, names, tree, with_layer, workers};

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

#[test]
fn the_second_of_two_layers_begins_no_request() {
    let recorder = Recorder::builder().start().unwrap();
    let layer = || tracer::tracing::layer().recorder(recorder.clone());
    let subscribers = [
        Dispatch::new(tracing_subscriber::registry().with(layer()).with(layer())),
        Dispatch::new(tracing_subscriber::registry().with(layer().and_then(layer()))),
    ];
    for (number, subscriber) in subscribers.iter().enumerate() {
        with_dispatch(subscriber, || {
            info_span!("request", otel.kind = "server").in_scope(handle);
        });
        assert_eq!(recorder.statistics().ended, number as u64 + 1);
    }
}

/// A service that has spans only.
mod service {
    use std::time::Duration;

    use axum::Router;
    use axum::http::StatusCode;
    use axum::routing::get;
    use tower_http::trace::TraceLayer;
    use tracing::{Instrument, info_span, instrument};

    use crate::allocate;

    #[instrument]
    async fn load(id: u64) -> Result<Vec<u8>, StatusCode> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        match id {
            0 => Err(StatusCode::INTERNAL_SERVER_ERROR),
            1 => std::future::pending().await,
            _ => Ok(allocate(10)),
        }
    }

    async fn order(
        axum::extract::Path(id): axum::extract::Path<u64>,
    ) -> Result<Vec<u8>, StatusCode> {
        let order = load(id).await?;
        let log = async { drop(allocate(20)) };
        tokio::spawn(log.instrument(info_span!("log")))
            .await
            .unwrap();
        Ok(order)
    }

    pub(super) fn router() -> Router {
        Router::new()
            .route("/orders/{id}", get(order))
            .route("/orders/3", get(std::future::pending::<()>))
    }

    pub(super) fn with_trace_layer() -> Router {
        router().layer(TraceLayer::new_for_http())
    }
}

/// Serves a router on a real socket, on workers with the layer.
fn served(
    router: Router,
    layer: tracer::tracing::CallLayer,
) -> (tokio::runtime::Runtime, std::net::SocketAddr) {
    // TraceLayer's spans are of the level DEBUG.
    let runtime = workers(tracer::tracing::subscriber(with_layer(layer)));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(async move {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        axum::serve(listener, router).await.unwrap();
    });
    (runtime, address)
}

fn get(runtime: &tokio::runtime::Runtime, address: std::net::SocketAddr, id: u64) -> Option<u16> {
    runtime.block_on(async move {
        let url = format!("http://{address}/orders/{id}");
        let is_answered = !matches!(id, 1 | 3);
        let client = reqwest::Client::builder()
            .timeout(if is_answered {
                Duration::from_secs(60)
            } else {
                Duration::from_millis(300)
            })
            .build()
            .unwrap();
        let response = client.get(url).send().await.ok()?;
        let status = response.status().as_u16();
        response.bytes().await.ok()?;
        Some(status)
    })
}

fn wait_for_end(recorder: &Recorder, requests: u64) {
    let started = std::time::Instant::now();
    while recorder.statistics().ended < requests {
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "{:?}",
            recorder.statistics()
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(recorder.flush(Duration::from_secs(10)));
}

fn keeping_all() -> Recorder {
    let policy = Policy::none().when("all", |_| true);
    Recorder::builder().policy(policy).start().unwrap()
}

#[test]
fn spans_of_trace_layer_are_requests() {
    let recorder = keeping_all();
    let layer = tracer::tracing::layer().recorder(recorder.clone());
    let (runtime, address) = served(service::with_trace_layer(), layer);
    assert_eq!(get(&runtime, address, 2), Some(200));
    wait_for_end(&recorder, 1);
    assert_eq!(get(&runtime, address, 0), Some(500));
    wait_for_end(&recorder, 2);
    assert_eq!(get(&runtime, address, 1), None);
    wait_for_end(&recorder, 3);
    assert_eq!(get(&runtime, address, 3), None);
    wait_for_end(&recorder, 4);
    let kept: Vec<_> = recorder.kept().iter().map(|report| names(report)).collect();
    println!("{:#}", recorder.kept()[2]);
    assert_eq!(
        kept,
        [
            "request cancelled",
            "request cancelled\n  load cancelled",
            "request failed\n  load",
            "request\n  load\n  log",
        ]
    );
    let names: Vec<_> = recorder
        .routes()
        .iter()
        .map(|route| route.name.clone())
        .collect();
    assert_eq!(names, ["GET request"]);
}

#[test]
fn with_recorder_layer_there_is_one_request() {
    let recorder = &keeping_all();
    let layer = tracer::tracing::layer().recorder(recorder.clone());
    let router = service::with_trace_layer();
    let router = router.layer(tracer::tower::RecorderLayer::new(recorder.clone()));
    let (runtime, address) = served(router, layer);
    assert_eq!(get(&runtime, address, 2), Some(200));
    wait_for_end(recorder, 1);
    assert_eq!(get(&runtime, address, 1), None);
    wait_for_end(recorder, 2);
    let kept: Vec<_> = recorder.kept().iter().map(|report| names(report)).collect();
    assert_eq!(
        kept,
        [
            "request cancelled\n  load cancelled",
            "request\n  load\n  log"
        ]
    );
    assert_eq!(recorder.statistics().ended, 2);
}
