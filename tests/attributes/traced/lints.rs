//! The compiler reports the same lints with and without the attribute.
//!
//! Clippy's lints are checked when clippy runs on this file.

#![deny(unfulfilled_lint_expectations, clippy::result_large_err)]
#![allow(
    dead_code,
    clippy::needless_pass_by_value,
    clippy::unnecessary_wraps,
    clippy::unused_async,
    reason = "functions that do nothing but break rules"
)]

use std::convert::Infallible;
use std::fmt::{self, Display};

use tracer::{budget, traced};

#[expect(
    clippy::async_yields_async,
    clippy::needless_return,
    unused_assignments,
    unused_mut,
    unused_variables
)]
fn not_traced(mut overwritten: u32, unused: String, mut constant: u32) -> Result<u32, Infallible> {
    drop(async { async {} });
    overwritten = 5;
    return Ok(overwritten + constant);
}

#[traced]
#[expect(
    clippy::async_yields_async,
    clippy::needless_return,
    unused_assignments,
    unused_mut,
    unused_variables
)]
fn traced_sync(mut overwritten: u32, unused: String, mut constant: u32) -> Result<u32, Infallible> {
    drop(async { async {} });
    overwritten = 5;
    return Ok(overwritten + constant);
}

#[traced(err)]
#[expect(
    clippy::async_yields_async,
    clippy::needless_return,
    unused_assignments,
    unused_mut,
    unused_variables
)]
fn traced_sync_err(
    mut overwritten: u32,
    unused: String,
    mut constant: u32,
) -> Result<u32, Infallible> {
    drop(async { async {} });
    overwritten = 5;
    return Ok(overwritten + constant);
}

#[budget(allocations <= 1)]
#[expect(
    clippy::async_yields_async,
    clippy::needless_return,
    unused_assignments,
    unused_mut,
    unused_variables
)]
fn limited(mut overwritten: u32, unused: String, mut constant: u32) -> Result<u32, Infallible> {
    drop(async { async {} });
    overwritten = 5;
    return Ok(overwritten + constant);
}

#[expect(
    clippy::async_yields_async,
    clippy::needless_return,
    unused_assignments,
    unused_mut,
    unused_variables
)]
async fn not_traced_async(
    mut overwritten: u32,
    unused: String,
    mut constant: u32,
) -> Result<u32, Infallible> {
    drop(async { async {} });
    overwritten = 5;
    return Ok(overwritten + constant);
}

#[traced]
#[expect(
    clippy::async_yields_async,
    clippy::needless_return,
    unused_assignments,
    unused_mut,
    unused_variables
)]
async fn traced_async(
    mut overwritten: u32,
    unused: String,
    mut constant: u32,
) -> Result<u32, Infallible> {
    drop(async { async {} });
    overwritten = 5;
    return Ok(overwritten + constant);
}

#[traced(err)]
#[expect(
    clippy::async_yields_async,
    clippy::needless_return,
    unused_assignments,
    unused_mut,
    unused_variables
)]
async fn traced_async_err(
    mut overwritten: u32,
    unused: String,
    mut constant: u32,
) -> Result<u32, Infallible> {
    drop(async { async {} });
    overwritten = 5;
    return Ok(overwritten + constant);
}

#[budget(allocations <= 1)]
#[expect(
    clippy::async_yields_async,
    clippy::needless_return,
    unused_assignments,
    unused_mut,
    unused_variables
)]
async fn limited_async(
    mut overwritten: u32,
    unused: String,
    mut constant: u32,
) -> Result<u32, Infallible> {
    drop(async { async {} });
    overwritten = 5;
    return Ok(overwritten + constant);
}

/// Each `expect` is for one lint, at the argument that causes it.
#[traced(err, "{shown}")]
fn at_arguments(
    shown: String,
    #[expect(unused_variables)] unused: String,
    #[expect(unused_variables)] (first, second): (String, String),
    #[allow(unused_variables)] allowed: String,
    #[expect(unused_mut)] mut constant: u32,
) -> Result<u32, Infallible> {
    Ok(constant)
}

/// The attribute uses the argument, even if a field has the same name.
#[traced(err, "{id}")]
fn a_field_of_that_name(row: &Row, id: u32) -> Result<u32, Infallible> {
    Ok(row.id)
}

#[expect(unused_variables)]
#[traced(err)]
fn unused_but_for_a_field_of_that_name(row: &Row, id: u32) -> Result<u32, Infallible> {
    Ok(row.id)
}

struct Row {
    id: u32,
}

struct Large([u8; 500]);

impl Display for Large {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.len())
    }
}

trait Store {
    #[expect(clippy::result_large_err)]
    fn store(&self) -> Result<(), Large>;
}

impl Store for u32 {
    #[traced(err)]
    fn store(&self) -> Result<(), Large> {
        Ok(())
    }
}
