//! A future is no error yet.

use std::future::Future;
use std::pin::Pin;

use tracer::traced;

#[traced(err)]
fn boxed() -> Pin<Box<dyn Future<Output = Result<(), String>>>> {
    Box::pin(async { Ok(()) })
}

#[traced(err)]
fn unnamed() -> impl Future<Output = Result<(), String>> {
    async { Ok(()) }
}

fn main() {}
