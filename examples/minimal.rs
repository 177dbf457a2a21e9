//! Traces two functions, and prints where their time and their allocations went.

use tracer::{Counting, Trace, traced};

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();

#[traced]
fn greet(names: &[&str]) -> String {
    names.iter().map(|name| greeting(name)).collect()
}

#[traced("{name}")]
fn greeting(name: &str) -> String {
    format!("Hello, {name}!\n")
}

fn main() {
    let trace = Trace::new();
    let scope = trace.inject();
    let text = greet(&["Ada", "Grace"]);
    drop(scope);
    println!("{text}\n{trace:#}");
}
