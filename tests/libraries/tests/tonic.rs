//! A client and a server of tonic in one process.

use std::net::SocketAddr;
use std::time::Duration;

use axum::response::IntoResponse;
use axum::{Router, extract, routing::post};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::service::Routes;
use tonic::transport::{Channel, Server};
use tonic::{Request, Response, Status, client, server};
use tonic_prost::ProstCodec;
use tower::service_fn;
use tracer::recorder::Recorder;
use tracer::tower::RecorderLayer;
use tracer::tracing::CallLayer;
use tracer::{CallReport, Outcome};
use tracer_libraries::{allocate, keeping_all, kept, listen, run, tree_of, workers};
use tracing::{Dispatch, info_span, instrument};
use tracing_subscriber::{EnvFilter, Registry, prelude::*};

const PLACE: &str = "/shop.Orders/Place";

/// The codec of requests and responses with one `google.protobuf.StringValue` each.
type Codec = ProstCodec<String, String>;

#[instrument(skip_all, err)]
async fn place(item: Request<String>) -> Result<Response<String>, Status> {
    let item = item.into_inner();
    reserve(&item).await?;
    Ok(Response::new(format!("one {item}")))
}

#[instrument(fields(id = item))]
async fn reserve(item: &str) -> Result<(), Status> {
    tokio::time::sleep(Duration::from_millis(1)).await;
    drop(allocate(10));
    if item.is_empty() {
        return Err(Status::failed_precondition("an order needs an item"));
    }
    Ok(())
}

async fn serve(request: extract::Request) -> impl IntoResponse {
    let mut server = server::Grpc::new(Codec::default());
    server.unary(service_fn(place), request).await
}

async fn order(channel: Channel, item: &str) -> Result<String, Status> {
    let mut client = client::Grpc::new(channel);
    client.ready().await.unwrap();
    let request = Request::new(item.to_owned());
    let response = client.unary(request, PLACE.parse().unwrap(), Codec::default());
    Ok(response.await?.into_inner())
}

fn runtime(layer: CallLayer, filter: &str) -> Runtime {
    let subscriber = Registry::default().with(layer.with_filter(EnvFilter::new(filter)));
    workers(&Dispatch::new(tracer::tracing::subscriber(subscriber)))
}

fn routes() -> Routes {
    Routes::from(Router::new().route(PLACE, post(serve)))
}

/// Sends three orders over one connection, of which the second fails.
fn send_orders(runtime: &Runtime, address: SocketAddr) {
    run(runtime, async move {
        let address = format!("http://{address}");
        let channel = Channel::from_shared(address)
            .unwrap()
            .connect()
            .await
            .unwrap();
        assert_eq!(order(channel.clone(), "lamp").await.unwrap(), "one lamp");
        let failed = order(channel.clone(), "").await.unwrap_err();
        assert_eq!(failed.code(), tonic::Code::FailedPrecondition);
        assert_eq!(order(channel, "chair").await.unwrap(), "one chair");
    });
}

/// Checks the requests, each of which is within this call.
fn check(recorder: &Recorder, request: Option<&str>) {
    let kept = kept(recorder, 3);
    let failed = "code: 'The system is not in a state required for the operation's execution', \
                  message: \"an order needs an item\"";
    for (report, id) in kept.iter().zip(["lamp", "", "chair"]) {
        let is_ours = |call: &CallReport| call.module == module_path!();
        let place = if id.is_empty() {
            format!("place failed: {failed}")
        } else {
            "place".to_owned()
        };
        let expected = match request {
            Some(request) => format!("{request}\n  {place}\n    reserve {id}\n"),
            None => format!("{place}\n  reserve {id}\n"),
        };
        assert_eq!(tree_of(report, is_ours), expected, "{report:#}");
        let reserve = report
            .calls
            .iter()
            .find(|call| call.name == "reserve")
            .unwrap();
        // Of a status, also its message and its details.
        let allocates = if id.is_empty() { 3 } else { 1 };
        assert_eq!(reserve.total.unwrap().allocates(), allocates, "{report:#}");
        let place = report
            .calls
            .iter()
            .find(|call| call.name == "place")
            .unwrap();
        assert!(
            (2..10).contains(&place.total.unwrap().allocates()),
            "{report:#}"
        );
        let is_over = |call: &CallReport| call.outcome != Outcome::Running && !call.partial;
        assert!(report.calls.iter().all(is_over), "{report:#}");
    }
    assert_eq!(
        kept[0].calls.len(),
        kept[2].calls.len(),
        "{:#}\n{:#}",
        kept[0],
        kept[2]
    );
    let statistics = recorder.statistics();
    assert_eq!((statistics.ended, statistics.in_flight), (3, 0));
}

fn check_spans(filter: &str) {
    let recorder = keeping_all();
    let layer = tracer::tracing::layer().recorder(recorder.clone());
    let layer = layer.requests(|span| span.name() == "grpc");
    let runtime = runtime(layer, filter);
    let (listener, address) = listen();
    runtime.spawn(async move {
        let listener = TcpListener::from_std(listener).unwrap();
        let server = Server::builder();
        let mut server =
            server.trace_fn(|request| info_span!("grpc", otel.name = request.uri().path()));
        let server = server.add_routes(routes());
        let incoming = TcpListenerStream::new(listener);
        server.serve_with_incoming(incoming).await.unwrap();
    });
    send_orders(&runtime, address);
    check(&recorder, Some("grpc"));
    assert_eq!(recorder.routes()[0].name, PLACE);
}

#[test]
fn spans_of_the_server_are_requests() {
    check_spans("info");
}

#[test]
fn spans_of_the_server_are_requests_with_all_spans() {
    check_spans("trace");
}

#[test]
fn spans_are_in_requests_of_the_layer_of_tower() {
    let recorder = keeping_all();
    let runtime = runtime(tracer::tracing::layer().recorder(recorder.clone()), "info");
    let (listener, address) = listen();
    let tower = RecorderLayer::new(recorder.clone()).grpc(true);
    runtime.spawn(async move {
        let listener = TcpListener::from_std(listener).unwrap();
        // tonic enters these spans outside of all layers, where there is no trace: they are no calls.
        let server = Server::builder().trace_fn(|_| info_span!("grpc"));
        let mut server = server.layer(tower);
        let server = server.add_routes(routes());
        let incoming = TcpListenerStream::new(listener);
        server.serve_with_incoming(incoming).await.unwrap();
    });
    send_orders(&runtime, address);
    check(&recorder, None);
}
