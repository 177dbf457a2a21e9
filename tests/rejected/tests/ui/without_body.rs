//! A method without a body is traced in its implementation, not in the trait.

use tracer::traced;

trait Load {
    #[traced]
    fn load(&self) -> u32;
}

fn main() {}
