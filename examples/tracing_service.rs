//! A service that knows only `tracing`: `#[instrument]`, and tower-http's `TraceLayer`. The allocator, a
//! recorder and a layer in `main` show every request, with each span's time and allocations.
//!
//! It asks itself for two orders, and prints the trace of the one that failed.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Path;
use axum::http::StatusCode;
use axum::{Router, routing::get};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower_http::trace::TraceLayer;
use tracer::recorder::{Policy, Recorder};
use tracer::{Counting, Report};
use tracing::{Instrument, info, info_span, instrument};
use tracing_subscriber::prelude::*;

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();

#[instrument]
async fn order(Path(id): Path<usize>) -> Result<String, StatusCode> {
    // The span takes the task into the trace of its request.
    let stock = tokio::spawn(stock().instrument(info_span!("warehouse")));
    let items = items(id, stock.await.unwrap_or_default()).await;
    let items = items.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(items.join(", "))
}

#[instrument]
async fn stock() -> Vec<String> {
    (1..=3).map(|number| format!("item {number}")).collect()
}

#[instrument(skip(stock), err)]
async fn items(count: usize, stock: Vec<String>) -> Result<Vec<String>, String> {
    info!(stock = stock.len(), "packing");
    let items = stock.get(..count).map(<[_]>::to_vec);
    items.ok_or_else(|| format!("{count} items ordered, {} in stock", stock.len()))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Policy::default() also keeps the slowest requests and those that allocate most.
    let recorder = Recorder::builder()
        .policy(Policy::none().failed())
        .callback("print", |report: &Arc<Report>| println!("{report:#}"))
        .start()?;
    let layer = tracer::tracing::layer().recorder(recorder.clone());
    tracer::tracing::subscriber(tracing_subscriber::registry().with(layer)).init();

    let app = Router::new()
        .route("/orders/{id}", get(order))
        .layer(TraceLayer::new_for_http());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async { axum::serve(listener, app).await });
    for order in ["/orders/2", "/orders/4"] {
        ask(address, order).await?;
    }
    recorder.shut_down(Duration::from_secs(5));
    Ok(())
}

async fn ask(address: SocketAddr, path: &str) -> std::io::Result<()> {
    let mut connection = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await?;
    connection.read_to_string(&mut String::new()).await?;
    Ok(())
}
