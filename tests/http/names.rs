//! The name, the id and the labels of a request.

use std::convert::Infallible;
use std::io::{Read, Write};

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::response::Response;
use axum::routing::get;
use tokio::runtime::Runtime;
use tokio::task::spawn_blocking;
use tower::{Layer, ServiceExt};
use tracer::tower::{RecorderLayer, RequestId};
use tracer::{Outcome, Report, in_current_trace};

use crate::PATIENCE;
use crate::server::{Server, app, label, outcome, recorder, request};

#[test]
fn a_request_goes_by_method_and_route_and_has_its_id() {
    let server = Server::new();
    let answer = server.send("GET /orders/7?secret=1", b"x-request-id: ca7a87c4\r\n");
    assert!(answer.ends_with("\r\n\r\nca7a87c4"), "{answer}");
    let report = server.only();
    let recorded = request(&report);
    assert_eq!(
        (&*recorded.name, recorded.id.as_deref()),
        ("GET /orders/{id}", Some("ca7a87c4"))
    );
    let labels: Vec<_> = recorded
        .labels
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    assert_eq!(
        labels,
        [
            ("path", "/orders/7"),
            ("status", "200"),
            ("sent", "8"),
            ("frames", "1")
        ]
    );
    assert_eq!(recorded.outcome, Outcome::Ok);
    let calls: Vec<_> = report
        .calls
        .iter()
        .map(|call| (&*call.name, call.total.unwrap().allocates()))
        .collect();
    assert_eq!(calls, [("work", 5)]);
}

#[test]
fn an_id_that_is_no_text_is_replaced() {
    let server = Server::new();
    for header in [
        &b"x-request-id: \xff\xfe\r\n"[..],
        b"x-request-id: \r\n",
        b"",
    ] {
        let answer = server.send("GET /orders/7", header);
        let (_, id) = answer.split_once("\r\n\r\n").unwrap();
        assert_eq!(id.len(), 16);
        assert!(id.bytes().all(|digit| digit.is_ascii_hexdigit()), "{id}");
    }
    server.send(
        "GET /orders/7",
        format!("x-request-id: {}\r\n", "é".repeat(10_000)).as_bytes(),
    );
    let mut ids: Vec<_> = server
        .ended(4)
        .iter()
        .map(|it| request(it).id.clone().unwrap())
        .collect();
    assert_eq!(ids.pop().unwrap(), "é".repeat(126) + "…");
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 3);
}

#[test]
fn the_id_is_where_the_trace_is_current() {
    let inside = || RequestId::current().map(|id| id.to_string());
    let routes = Router::new()
        .route("/", get(async |id: RequestId| id.as_str().to_owned()))
        .route(
            "/optional",
            get(async |id: Option<RequestId>| format!("{:?}", id.map(|it| it.to_string()))),
        )
        .route(
            "/inside",
            get(async move || {
                let along = spawn_blocking(in_current_trace(inside)).await.unwrap();
                let elsewhere = spawn_blocking(inside).await.unwrap();
                format!("{:?} {along:?} {elsewhere:?}", inside())
            }),
        );
    let recorded = routes.clone().layer(RecorderLayer::new(recorder()));
    let runtime = Runtime::new().unwrap();
    let send = |app: &Router, path: &str| {
        let request = Request::get(path).header("x-request-id", "id 7");
        let answer = app.clone().oneshot(request.body(Body::empty()).unwrap());
        runtime.block_on(async {
            let (head, body) = answer.await.unwrap().into_parts();
            let body = axum::body::to_bytes(body, 1000).await.unwrap();
            (
                head.status.as_u16(),
                String::from_utf8(body.into()).unwrap(),
            )
        })
    };
    assert_eq!(send(&recorded, "/"), (200, "id 7".to_owned()));
    assert_eq!(send(&recorded, "/optional").1, "Some(\"id 7\")");
    assert_eq!(
        send(&recorded, "/inside").1,
        "Some(\"id 7\") Some(\"id 7\") None"
    );
    assert_eq!(send(&routes, "/").0, 500);
    assert_eq!(send(&routes, "/optional").1, "None");
    assert_eq!(send(&routes, "/inside").1, "None None None");
}

#[test]
fn names_in_one_place_of_memory_are_told_apart() {
    let recorder = recorder();
    // The text of a name is mostly the route's own, always in one place.
    let mut name = String::from("0000");
    for number in 0..500 {
        name.replace_range(.., &format!("{:04}", number % 50));
        recorder.begin(&name).finish();
    }
    let routes = recorder.routes();
    assert_eq!(routes.len(), 50);
    assert!(routes.iter().all(|it| it.ended == 10), "{routes:?}");
}

#[test]
fn each_request_on_a_connection_is_recorded_by_itself() {
    let server = Server::new();
    let mut stream = server.connect();
    for number in 0..3 {
        write!(stream, "GET /orders/{number} HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
        let mut answer = [0; 16 << 10];
        let length = stream.read(&mut answer).unwrap();
        assert!(answer[..length].starts_with(b"HTTP/1.1 200"));
    }
    let reports = server.ended(3);
    let paths: Vec<_> = reports.iter().map(|it| label(it, "path")).collect();
    assert_eq!(paths, ["/orders/0", "/orders/1", "/orders/2"]);
    assert!(reports.iter().all(|it| it.calls.len() == 1));
}

#[test]
fn a_request_without_a_route_is_named_so() {
    let server = Server::new();
    server.send("GET /wp-admin.php", b"");
    let report = server.only();
    assert_eq!(
        (&*request(&report).name, label(&report, "path")),
        ("GET (no route)", "/wp-admin.php")
    );
    assert_eq!(
        (label(&report, "status"), outcome(&report)),
        ("404", &Outcome::Ok)
    );
    let named = |parts: &axum::http::request::Parts| {
        parts
            .uri
            .path()
            .strip_prefix("/tenant/")
            .map(|_| "tenant".to_owned())
    };
    let server = Server::of(|layer| Router::new().layer(layer.name_by(named)));
    server.send("GET /tenant/7", b"");
    assert_eq!(request(&server.only()).name, "tenant");
}

#[test]
fn on_a_nested_router_the_path_is_whole() {
    let inside = |layer| {
        let deeper = Router::new().nest("/v1", app().layer(layer));
        Router::new().nest("/t/{tenant}", deeper)
    };
    let server = Server::of(inside);
    server.send("GET /t/acme/v1/orders/7?secret=1", b"");
    let report = server.only();
    assert_eq!(
        (&*request(&report).name, label(&report, "path")),
        ("GET /t/{tenant}/v1/orders/{id}", "/t/acme/v1/orders/7")
    );
    let server = Server::of(|layer| Router::new().nest_service("/api", app().layer(layer)));
    server.send("GET /api/orders/7", b"");
    assert_eq!(label(&server.only(), "path"), "/api/orders/7");
}

#[test]
fn a_service_without_routes_does_not_report_no_route() {
    let recorder = recorder();
    let service =
        tower::service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Body::empty())));
    let service = RecorderLayer::new(recorder.clone()).layer(service);
    let runtime = Runtime::new().unwrap();
    let request = Request::builder().uri("/a/b").body(()).unwrap();
    drop(runtime.block_on(service.oneshot(request)).unwrap());
    assert!(recorder.flush(PATIENCE));
    let report = &recorder.kept()[0];
    assert_eq!(
        (&*self::request(report).name, label(report, "path")),
        ("GET", "/a/b")
    );
}

#[test]
fn a_long_path_is_cut() {
    let server = Server::new();
    server.send(&format!("GET /orders/{}", "x".repeat(1000)), b"");
    let report = server.only();
    let path = format!("/orders/{}…", "x".repeat(256 - 8 - 3));
    assert_eq!(label(&report, "path"), path);
}

#[test]
fn a_client_does_not_make_names() {
    let server = Server::new();
    server.send("BREW /orders/7", b"");
    server.send("M7 /", b"");
    let grpc = b"content-type: application/grpc\r\n";
    server.send("POST /a.B/C", grpc);
    let reports = server.ended(3);
    let told = |report: &Report| {
        (
            request(report).name.clone(),
            label(report, "method").to_owned(),
        )
    };
    let told: Vec<_> = reports.iter().map(|it| told(it)).collect();
    let of = |name: &str, method: &str| (name.to_owned(), method.to_owned());
    // The route exists, but its method is unknown.
    let expected = [
        of("HTTP /orders/{id}", "BREW"),
        of("HTTP (no route)", "M7"),
        of("POST (no route)", ""),
    ];
    assert_eq!(told, expected);
    // With gRPC enabled, only a path of gRPC's form becomes a name.
    let server = Server::of(|layer| app().layer(layer.grpc(true)));
    for path in [
        "/a.B/C",
        "/orders/7",
        "/a.B/C/D",
        "/a.B/",
        "/a%20b/C",
        "/a.B",
    ] {
        server.send(&format!("POST {path}"), grpc);
    }
    let reports = server.ended(6);
    let names: Vec<_> = reports.iter().map(|it| &*request(it).name).collect();
    let expected = [
        "POST /a.B/C",
        "POST /orders/{id}",
        "POST (no route)",
        "POST (no route)",
        "POST (no route)",
        "POST (no route)",
    ];
    assert_eq!(names, expected);
}

#[test]
fn a_rule_for_names_that_panics_is_ignored() {
    let server =
        Server::of(|layer| app().layer(layer.name_by(|_| std::panic::resume_unwind(Box::new(())))));
    assert!(
        server
            .send("GET /orders/7", b"")
            .starts_with("HTTP/1.1 200")
    );
    assert_eq!(request(&server.only()).name, "GET /orders/{id}");
}
