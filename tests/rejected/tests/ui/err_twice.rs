//! `err` stands once, alone or with `Debug` or `Display`.

use tracer::traced;

#[traced(err, err)]
fn twice() -> Result<(), String> {
    Ok(())
}

#[traced("{_id}", err, rows = 1, err(Debug))]
fn far_behind(_id: u32) -> Result<(), String> {
    Ok(())
}

#[traced(err(level = "warn"))]
fn another() -> Result<(), String> {
    Ok(())
}

fn main() {
    let _ = (twice(), far_behind(1), another());
}
