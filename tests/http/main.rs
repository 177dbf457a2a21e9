//! The recorder around HTTP requests, and its page.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/openmetrics.rs"]
mod openmetrics;

mod arming;
mod bodies;
mod contexts;
mod failures;
mod kept;
mod layers;
mod metrics;
mod names;
mod outcomes;
mod page;
mod page_access;
mod page_compare;
mod page_elsewhere;
mod page_hotspots;
mod page_json;
mod page_kept;
mod page_lines;
mod page_links;
mod page_lists;
mod page_repeats;
mod page_when;
mod propagation;
mod search;
mod search_files;
mod server;
mod services;
mod site;

use std::time::Duration;

use tracer::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();

/// How long a test waits before it fails.
const PATIENCE: Duration = Duration::from_secs(20);
