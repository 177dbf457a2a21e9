//! `tracer top` in a real pseudo-terminal, with a real service and files.

#![cfg(unix)]

mod files;
mod pages;
mod refused;
mod service;
mod terminal;

#[global_allocator]
static ALLOCATOR: tracer::Counting = tracer::Counting::system();
