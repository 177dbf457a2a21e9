//! `crate` takes one path, without quotes, that leads to the crate.

mod my_lib {
    pub use tracer;
}

use my_lib::tracer::{budget, traced};

#[traced(crate = my_lib::tracer, err, crate = my_lib::tracer)]
fn twice() -> Result<(), String> {
    Ok(())
}

#[traced(crate = "my_lib::tracer")]
fn string() {}

#[traced(crate =)]
fn nothing() {}

#[traced(crate = my_lib::tracer::call!())]
fn expression() {}

#[traced(crate)]
fn word() {}

#[traced(crate = my_lib::missing)]
fn elsewhere() {}

#[budget(crate = my_lib::tracer, bytes <= 1, crate = my_lib::tracer)]
fn budget_twice() {}

#[budget(bytes <= 1, crate = 1)]
fn budget_number() {}

#[budget(crate = my_lib::tracer)]
fn budget_without_limits() {}

fn main() {
    let _ = twice();
}
