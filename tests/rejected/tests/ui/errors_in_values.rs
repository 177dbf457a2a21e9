//! An error in an id or in a label's value is reported at its place.

use tracer::traced;

#[traced("{missing}")]
fn id() {}

#[traced(rows = missing.len())]
async fn label() {}

fn main() {
    id();
    let _ = label();
}
