//! What pages take of the tracer's memory is given back as such, wherever a server drops them.

use axum::body::{Body, to_bytes};
use axum::http::Request;
use tower::ServiceExt;
use tracer::recorder::{Policy, Recorder};
use tracer::{call, memory};

fn own_bytes() -> i64 {
    let own = memory().overhead;
    own.expect("`Counting` is installed").net_bytes()
}

pub(crate) fn pages_are_given_back() {
    let recorder = Recorder::builder()
        .policy(Policy::none().failed())
        .start()
        .unwrap();
    for number in 0..20 {
        let mut recording = recorder.begin("GET /orders/{id}");
        recording.id(number);
        let scope = recording.inject();
        call!("{number}").stop();
        drop(scope);
        recording.fail("no row");
    }
    // Its threads take no memory meanwhile.
    assert!(recorder.shut_down(std::time::Duration::from_secs(60)));
    let pages = tracer::web::router_for::<()>(recorder.clone(), |_| true);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(1)
        .build()
        .unwrap();
    let get = |path: &str| {
        let request = Request::get(path).body(Body::empty()).unwrap();
        runtime.block_on(async {
            let Ok(page) = pages.clone().oneshot(request).await;
            let (parts, body) = page.into_parts();
            // The head is dropped first, as a server does.
            drop(parts);
            to_bytes(body, usize::MAX).await.unwrap().len()
        })
    };
    for path in [
        "/",
        "/failures",
        "/hotspots",
        "/in-flight",
        "/search?text=row",
        "/search?since=nonsense",
        "/style.css",
        "/nothing",
        "/?format=json",
        "/search?text=row&format=json",
    ] {
        // What is found out once, such as the zone of the times.
        (0..3).for_each(|_| assert!(get(path) > 0));
        let before = own_bytes();
        (0..20).for_each(|_| assert!(get(path) > 0));
        assert_eq!(own_bytes() - before, 0, "{path}");
    }
}
