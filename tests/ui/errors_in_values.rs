//! A mistake in an id or in a label's value is shown where it was written.

use tracer::traced;

#[traced("{missing}")]
fn id() {}

#[traced(rows = missing.len())]
async fn label() {}

fn main() {
    id();
    let _ = label();
}
