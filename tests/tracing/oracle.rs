//! A function has the figures under `#[instrument]` that it has under `#[traced]`.

use std::hint::black_box;

use tracer::traced;
use tracing::instrument;

use crate::{allocate, recorded, shown};

mod spans {
    use super::*;

    #[instrument]
    pub(super) fn leaf(size: usize) -> Vec<u8> {
        allocate(size)
    }

    #[instrument(skip_all)]
    pub(super) fn outer() {
        let kept = leaf(100);
        drop(leaf(1000));
        drop(kept);
    }

    #[instrument(err, fields(id = 7))]
    pub(super) fn fails() -> Result<(), String> {
        drop(leaf(10));
        Err(black_box("broken pipe".to_owned()))
    }

    #[instrument(skip_all)]
    pub(super) async fn pauses(size: usize) -> Vec<u8> {
        let kept = allocate(size);
        tokio::task::yield_now().await;
        drop(kept);
        allocate(2 * size)
    }

    #[instrument(skip_all, err(Debug))]
    pub(super) async fn both() -> Result<(), std::io::ErrorKind> {
        let (left, right) = tokio::join!(pauses(1000), pauses(10));
        drop((left, right));
        Err(std::io::ErrorKind::BrokenPipe)
    }
}

mod calls {
    use super::*;

    #[traced(size = size)]
    pub(super) fn leaf(size: usize) -> Vec<u8> {
        allocate(size)
    }

    #[traced]
    pub(super) fn outer() {
        let kept = leaf(100);
        drop(leaf(1000));
        drop(kept);
    }

    #[traced(err, "7")]
    pub(super) fn fails() -> Result<(), String> {
        drop(leaf(10));
        Err(black_box("broken pipe".to_owned()))
    }

    #[traced]
    pub(super) async fn pauses(size: usize) -> Vec<u8> {
        let kept = allocate(size);
        tokio::task::yield_now().await;
        drop(kept);
        allocate(2 * size)
    }

    #[traced(err(Debug))]
    pub(super) async fn both() -> Result<(), std::io::ErrorKind> {
        let (left, right) = tokio::join!(pauses(1000), pauses(10));
        drop((left, right));
        Err(std::io::ErrorKind::BrokenPipe)
    }
}

#[test]
fn functions_have_the_same_figures() {
    // The registry's memory for this thread is requested by its first span.
    recorded(spans::outer);
    let of_spans = recorded(|| {
        spans::outer();
        spans::fails().unwrap_err();
    });
    let of_calls = recorded(|| {
        calls::outer();
        calls::fails().unwrap_err();
    });
    assert_eq!(shown(&of_spans), shown(&of_calls));
}

#[test]
fn futures_have_the_same_figures() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let run = |work: fn(&tokio::runtime::Runtime)| recorded(|| work(&runtime));
    run(|runtime| {
        runtime.block_on(spans::both()).unwrap_err();
    });
    let of_spans = run(|runtime| {
        drop(runtime.block_on(spans::pauses(5)));
        runtime.block_on(spans::both()).unwrap_err();
    });
    let of_calls = run(|runtime| {
        drop(runtime.block_on(calls::pauses(5)));
        runtime.block_on(calls::both()).unwrap_err();
    });
    println!("{of_spans:#}\n{of_calls:#}");
    assert_eq!(shown(&of_spans), shown(&of_calls));
}
