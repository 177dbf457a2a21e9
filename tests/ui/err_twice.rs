//! `err` stands once, and first.

use tracer::traced;

#[traced(err, err)]
fn twice() -> Result<(), String> {
    Ok(())
}

#[traced(rows = 1, err)]
fn last() -> Result<(), String> {
    Ok(())
}

fn main() {
    let _ = (twice(), last());
}
