//! Records every request of an axum service. Prints those that fail, and shows them on a page.
//!
//! Run `cargo run -p tracer-examples --example axum_service`, ask it by
//! `curl http://127.0.0.1:3000/orders/0`, and end it by Ctrl-C.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Path;
use axum::http::StatusCode;
use axum::{Router, routing::get};
use tokio::net::TcpListener;
use tracer::recorder::{Policy, Recorder};
use tracer::tower::RecorderLayer;
use tracer::web::Page;
use tracer::{Counting, Report, traced};

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();

#[traced("{id}")]
async fn order(Path(id): Path<u32>) -> Result<String, (StatusCode, String)> {
    let items = items(id).await;
    let items = items.map_err(|why| (StatusCode::INTERNAL_SERVER_ERROR, why))?;
    Ok(items.join(", "))
}

#[traced(err)]
async fn items(order: u32) -> Result<Vec<String>, String> {
    match order {
        0 => Err("the list of items is missing".to_owned()),
        _ => Ok((1..=order).map(|number| format!("item {number}")).collect()),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Policy::default() also keeps the slowest requests and those that allocate most.
    let recorder = Recorder::builder()
        .policy(Policy::none().failed())
        .callback("print", |report: &Arc<Report>| println!("{report:#}\n"))
        .start()?;
    let page = Page::new(recorder.clone())?;
    let app = Router::new()
        .route("/orders/{id}", get(order))
        .layer(RecorderLayer::new(recorder.clone()))
        .nest_service("/debug/traces", page.router())
        .into_make_service_with_connect_info::<SocketAddr>();

    let address = std::env::args().nth(1);
    let address = address.unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    println!("orders: http://{address}/orders/3");
    println!(
        "traces: {}\n",
        page.url(&format!("http://{address}/debug/traces"))
    );
    axum::serve(listener, app)
        .with_graceful_shutdown(async { drop(tokio::signal::ctrl_c().await) })
        .await?;
    recorder.shut_down(Duration::from_secs(5));
    Ok(())
}
