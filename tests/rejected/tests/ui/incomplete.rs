//! A missing comma or value is reported at its place.

use tracer::traced;

#[traced(err rows = 1)]
fn comma_behind_err() -> Result<(), String> {
    Ok(())
}

#[traced("{_id}" rows = 1)]
fn comma_behind_the_id(_id: u32) {}

#[traced(rows =)]
fn value() {}

fn main() {
    let _ = (comma_behind_err(), comma_behind_the_id(1), value());
}
