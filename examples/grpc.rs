//! Records the requests of a gRPC service: one is answered, one fails with a status.
//!
//! Code that is generated from a `.proto` file takes the place of `serve` and of `order`, and
//! `.add_service(OrdersServer::new(…))` that of the routes. The layer stays as it is.

use std::error::Error;
use std::time::Duration;

use axum::response::IntoResponse;
use axum::{Router, extract, routing::post};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Channel, Server};
use tonic::{Request, Response, Status, client, server, service::Routes};
use tonic_prost::ProstCodec;
use tower::service_fn;
use tracer::recorder::{Policy, Recorder};
use tracer::tower::RecorderLayer;
use tracer::{Counting, traced};

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();

const PLACE: &str = "/shop.Orders/Place";

/// The codec of requests and responses with one `google.protobuf.StringValue` each.
type Codec = ProstCodec<String, String>;

#[traced]
async fn place(item: Request<String>) -> Result<Response<String>, Status> {
    let item = item.into_inner();
    if item.is_empty() {
        return Err(Status::failed_precondition("an order needs an item"));
    }
    Ok(Response::new(format!("one {item}")))
}

async fn serve(request: extract::Request) -> impl IntoResponse {
    let mut server = server::Grpc::new(Codec::default());
    server.unary(service_fn(place), request).await
}

async fn order(channel: Channel, id: &str, item: &str) -> Result<String, Box<dyn Error>> {
    let mut client = client::Grpc::new(channel);
    client.ready().await?;
    let mut request = Request::new(item.to_owned());
    request.metadata_mut().insert("x-request-id", id.parse()?);
    let response = client.unary(request, PLACE.parse()?, Codec::default());
    Ok(response.await?.into_inner())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let everything = Policy::none().when("everything", |_| true);
    let recorder = Recorder::builder().policy(everything).start()?;
    let layer = RecorderLayer::new(recorder.clone()).grpc(true);
    let routes = Routes::from(Router::new().route(PLACE, post(serve)));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", listener.local_addr()?);
    let server = Server::builder().layer(layer).add_routes(routes);
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));

    let channel = Channel::from_shared(address)?.connect().await?;
    println!("{}", order(channel.clone(), "first", "lamp").await?);
    println!("{}\n", order(channel, "second", "").await.unwrap_err());
    // The client may have its response before the server has ended the request.
    while recorder.statistics().in_flight > 0 {
        tokio::task::yield_now().await;
    }
    recorder.flush(Duration::from_secs(5));
    for report in recorder.kept() {
        println!("{report:#}\n");
    }
    Ok(())
}
