//! The message for an unknown word names it and the words that are possible there.

use tracer::traced;

#[traced(ret)]
fn word() {}

#[traced(ret(all))]
fn list() {}

#[traced(err, ret)]
fn behind_err() -> Result<(), String> {
    Ok(())
}

#[traced("{_id}", rows = 1, _id)]
fn behind_a_label(_id: u32) {}

#[traced(1)]
fn number() {}

#[traced(rows = 1, "{_id}")]
fn format_string_behind_a_label(_id: u32) {}

fn main() {
    let _ = (word(), list(), behind_err(), behind_a_label(1), number());
    format_string_behind_a_label(1);
}
