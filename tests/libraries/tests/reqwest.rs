//! hyper's and reqwest's clients inside a handler, with all of their spans.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use reqwest::Client;
use tokio::net::TcpListener;
use tower_http::trace::TraceLayer;
use tracer::CallReport;
use tracer_libraries::{allocate, keeping_all, kept, listen, run, tree_of, workers};
use tracing::{Dispatch, instrument};
use tracing_subscriber::{Registry, prelude::*};

const REQUESTS: u64 = 3;

#[derive(Clone, Debug)]
struct Stock {
    client: Client,
    address: SocketAddr,
}

#[instrument(skip(stock))]
async fn order(State(stock): State<Stock>, Path(id): Path<u32>) -> String {
    let items = ask(&stock, id).await;
    drop(allocate(10));
    items
}

#[instrument(skip_all)]
async fn ask(stock: &Stock, id: u32) -> String {
    let url = format!("http://{}/stock/{id}", stock.address);
    let response = stock.client.get(url).send().await.unwrap();
    response.text().await.unwrap()
}

fn check(client: fn() -> Client) {
    let recorder = keeping_all();
    let layer = tracer::tracing::layer().recorder(recorder.clone());
    let subscriber = tracer::tracing::subscriber(Registry::default().with(layer));
    let runtime = workers(&Dispatch::new(subscriber));
    let (back, back_address) = listen();
    let (front, front_address) = listen();
    let stock = Stock {
        client: client(),
        address: back_address,
    };
    runtime.spawn(async move {
        let router = Router::new().route(
            "/stock/{id}",
            get(async |Path(id): Path<u32>| format!("{id} items")),
        );
        axum::serve(TcpListener::from_std(back).unwrap(), router)
            .await
            .unwrap();
    });
    runtime.spawn(async move {
        let router = Router::new()
            .route("/orders/{id}", get(order))
            .with_state(stock);
        let router = router.layer(TraceLayer::new_for_http());
        axum::serve(TcpListener::from_std(front).unwrap(), router)
            .await
            .unwrap();
    });
    // With a client of its own, as that of the handler keeps its connection.
    let client = client();
    for id in 0..REQUESTS {
        let client = client.clone();
        let url = format!("http://{front_address}/orders/{id}");
        let answer = async move { client.get(url).send().await.unwrap().text().await.unwrap() };
        assert_eq!(run(&runtime, answer), format!("{id} items"));
    }
    let kept = kept(&recorder, REQUESTS);
    for (report, id) in kept.iter().zip(0..) {
        let ours = tree_of(report, |call| call.module != "h2::codec::framed_write");
        assert_eq!(
            ours,
            format!("request\n  order {id}\n    ask\n"),
            "{report:#}"
        );
        let [request, order, ask] = &report.calls[..3] else {
            panic!("{report:#}")
        };
        let allocates = |call: &CallReport| call.self_counts.unwrap().allocates();
        assert_eq!(allocates(order), 1, "{report:#}");
        assert!((1..20).contains(&allocates(request)), "{report:#}");
        assert!((20..120).contains(&allocates(ask)), "{report:#}");
        assert_eq!(report.dropped, 0);
    }
    // The first has opened the connection, on which the others are alike.
    let totals: Vec<_> = kept
        .iter()
        .map(|report| report.total.unwrap().allocates())
        .collect();
    assert!(totals[0] > totals[1], "{totals:?}");
    assert_eq!(totals[1], totals[2]);
    let statistics = recorder.statistics();
    assert_eq!((statistics.ended, statistics.in_flight), (REQUESTS, 0));
}

#[test]
fn http_1() {
    check(|| Client::builder().build().unwrap());
}

/// `h2` has a span for each connection, made inside the request that opens it, and others for each frame.
#[test]
fn http_2() {
    check(|| Client::builder().http2_prior_knowledge().build().unwrap());
}
