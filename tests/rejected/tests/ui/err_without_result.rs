//! A function that returns nothing cannot return an error.

use tracer::traced;

#[traced(err)]
fn nothing() {}

#[traced(err, rows = 1)]
async fn unit() -> () {}

#[traced(err)]
fn never() -> ! {
    loop {}
}

fn main() {
    nothing();
    let _ = (unit(), never as fn() -> _);
}
