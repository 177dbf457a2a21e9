//! Runs each example as a process, and compares its output and its responses.

mod documents;
mod http;
#[cfg(feature = "flamegraph")]
mod hunt;
mod outputs;
mod process;
mod service;
mod text;

// For `hunt`, which runs in this process.
#[global_allocator]
static ALLOCATOR: tracer::Counting = tracer::Counting::system();
