//! Arguments of `tracing`'s `#[instrument]` that a call does not take.

use tracer::traced;

#[traced(level = "debug")]
fn level() {}

#[traced(target = "database", "{_id}")]
fn target(_id: u32) {}

#[traced("{_id}", parent = None)]
fn parent(_id: u32) {}

#[traced(skip(_id))]
fn skip(_id: u32) {}

#[traced(skip_all)]
fn skip_all(_id: u32) {}

#[traced(err, fields(id = _id))]
fn fields(_id: u32) -> Result<(), String> {
    Ok(())
}

#[traced(name = _id)]
fn name(_id: u32) {}

#[traced(name = "one", name = "two")]
fn named_twice() {}

fn main() {}
