//! The recorder around HTTP requests, and its page.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/openmetrics.rs"]
mod openmetrics;

mod arming;
mod bodies;
mod contexts;
mod kept;
mod layers;
mod metrics;
mod names;
mod outcomes;
mod page;
mod page_access;
mod page_elsewhere;
mod page_lines;
mod page_links;
mod page_repeats;
mod propagation;
mod server;
mod services;
mod site;

use std::time::Duration;

use tracer::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();

/// How long a test waits before it fails.
const PATIENCE: Duration = Duration::from_secs(20);
