//! An error in a body is reported at its place, as without the attributes.

use tracer::{budget, traced};

#[traced]
fn sync() -> u32 {
    "text"
}

#[traced(err)]
fn fallible() -> Result<u32, String> {
    let number: u32 = "text";
    Ok(number)
}

#[traced]
async fn asynchronous() -> u32 {
    "text"
}

#[budget(bytes <= 1)]
fn limited() -> u32 {
    "text"
}

fn main() {}
