//! A counting global allocator: exact allocation counts for each thread, for about a nanosecond.
//!
//! ```
//! use alloc_counter::{Budget, Counting, measure};
//!
//! #[global_allocator]
//! static ALLOCATOR: Counting = Counting::system();
//!
//! let measured = measure(|| "a".repeat(100));
//! let counts = measured.counts.expect("Counting is installed");
//! assert_eq!((counts.allocations, counts.bytes_allocated), (1, 100));
//! assert_eq!(measured.peak_bytes, Some(100));
//!
//! // In tests: fails with what was allowed and what happened. Parallel tests do not disturb it.
//! let sum = Budget::none().assert(|| [1, 2, 3].iter().sum::<i32>());
//! assert_eq!(sum, 6);
//! ```
//!
//! - [`Counting`] wraps any allocator. Each thread counts into a slot of its own, so nothing is
//!   locked, and nothing is lost: see the rules at [`Counts`].
//! - [`measure`] and [`Region`] return what a stretch of code did on this thread; [`exclude`] leaves
//!   a stretch out, and [`exclude_counted`] returns what it left out.
//! - [`Budget`] asserts it in tests.
//! - [`process`], [`threads`] and [`current_thread`] read the totals, of any thread from any thread.
//! - [`Local`], [`Remote`] and [`Window`] are the readings that a tracer takes on its hot path.
//!
//! If no [`Counting`] is installed, figures are `None` and budgets fail: a 0 never means "not counted".
//!
//! # Features
//!
//! - `blocks`: which blocks a stretch of code keeps, by `Blocks`. Meant for tests, since each operation of the allocator
//!   takes some instructions more.
//! - `sites`: the stack at each allocation of a stretch of code, by [`sites()`], exactly or sampled. On Linux, for
//!   x86-64 and aarch64; elsewhere sites have no frames.
//! - `stats_alloc`: `From<Counts>` for `stats_alloc::Stats`.
//! - `tracing`: a wrapper that keeps the memory of a `tracing` subscriber out of all figures, in the module
//!   `subscriber`.

// On docs.rs each item shows the feature that it needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod sync;

mod counts;
mod slot;

mod registry;

mod hot;

mod remote;
mod thread;

mod overhead;

#[cfg(feature = "sites")]
mod sites;

#[cfg(feature = "blocks")]
mod blocks;

mod count;

mod counting;

mod process;

mod region;

mod budget;

mod time_stamp;

#[cfg(feature = "tracing")]
pub mod subscriber;

#[cfg(loom)]
#[doc(hidden)]
pub mod model;
#[cfg(all(loom, test))]
mod models;

#[cfg(feature = "blocks")]
pub use blocks::{Blocks, BlocksKey, Kept};
pub use budget::{Budget, Exceeded};
pub use counting::Counting;
pub use counts::Counts;
pub use overhead::{Overhead, exclude, exclude_counted, include, take_counted};
pub use process::{Process, ThreadCounts, current_thread, process, threads};
pub use region::{Measured, Measuring, Region, measure};
pub use remote::Remote;
#[cfg(feature = "sites")]
pub use sites::{Module, Owner, Sampled, Site, SiteLog, SiteRoom, Sited, Sites, modules, sites};
pub use slot::Window;
pub use thread::{Local, is_installed};
#[doc(hidden)]
pub use time_stamp::time_stamp;

/// The README's code block is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
