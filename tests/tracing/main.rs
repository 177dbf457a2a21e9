//! Spans of `tracing` as calls.

mod oracle;

use tracer::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();
