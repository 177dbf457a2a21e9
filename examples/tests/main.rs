//! Runs each example as a process, and compares its output and its responses.

mod documents;
mod http;
#[cfg(feature = "hunt")]
mod hunt;
mod outputs;
mod process;
mod service;
mod text;
