//! A call reads the clock, which cannot be done in a constant.

use tracer::traced;

#[traced]
pub const fn double(value: u32) -> u32 {
    2 * value
}

const FOUR: u32 = double(2);

fn main() {
    let _ = FOUR;
}
