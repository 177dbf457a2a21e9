//! Items that can't have a budget.

use tracer::budget;

#[budget(bytes <= 1)]
struct Text(String);

#[budget(bytes <= 1)]
const fn constant() {}

trait Parse {
    #[budget(bytes <= 1)]
    fn parse(&self);
}

fn main() {}
