//! What a trait only declares is traced where it is implemented.

use tracer::traced;

trait Load {
    #[traced]
    fn load(&self) -> u32;
}

fn main() {}
