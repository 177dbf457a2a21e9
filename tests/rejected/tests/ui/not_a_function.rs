//! Only a function can be traced.

use tracer::traced;

#[traced]
struct Point {
    x: u32,
}

#[traced]
impl Point {
    fn x(&self) -> u32 {
        self.x
    }
}

#[traced]
pub trait Shape {}

#[traced]
mod module {}

#[traced]
const FUNCTION: fn() = main;

fn main() {
    let _ = (Point { x: 1 }.x(), FUNCTION);
}
