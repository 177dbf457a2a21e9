//! The first program of the README: traces three functions, and prints the trace as a tree.

use tracer::{Counting, Trace, call, traced};

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();

fn handle(request_id: &str, body: &str) {
    let call = call!("{request_id}"); // named after the function; stops when it is dropped
    let Ok(numbers) = parse(body) else { return };
    call.checkpoint("parsed");
    store(&numbers);
}

#[traced(err)] // an `Err` makes it a failed call
fn parse(body: &str) -> Result<Vec<u32>, std::num::ParseIntError> {
    body.split(' ').map(str::parse).collect()
}

#[traced(rows = numbers.len())] // with a label; also on `async fn`
fn store(numbers: &[u32]) {
    std::hint::black_box(numbers.to_vec());
}

fn main() {
    let trace = Trace::new();
    let scope = trace.inject(); // current on this thread until the scope is dropped
    handle("ca7a87c4", "3 14 15 92 65");
    drop(scope);
    println!("{trace:#}"); // a tree; `{trace}` is one line a call
}
