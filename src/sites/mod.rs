//! Allocation sites: the functions and lines of code addresses.
//!
//! [`alloc::sites`](alloc_counter::sites()) records addresses where memory is allocated, which must be fast.
//! [`Symbols`] looks up later, on any thread, which functions and lines they belong to, and
//! [`SiteTable`](crate::report::SiteTable) shows them. It imports `primitives` only.
//!
//! A line is never a guess. If the file of a program was replaced while the program runs, its addresses
//! keep their module, build id and offset, and [`Frame::unresolved`] says why there is no more. By these they can be
//! looked up later, on another machine: see [`Binary`].
//!
//! # What is read
//!
//! | the file has | a frame has |
//! |---|---|
//! | debug information, whole or line tables only | function, file and line, with inlined functions |
//! | debug information in a `.dwp` file beside it, or in `.dwo` files at the place where they were compiled | the same |
//! | none, but a separate file has it: under the build id in `/usr/lib/debug/.build-id/`, or by the name and checksum in `.gnu_debuglink` beside the file, in `.debug/` beside it, or under its folder in `/usr/lib/debug/` | the same |
//! | a symbol table | the function into which the code was compiled |
//! | neither | module, build id and offset |
//!
//! Debug information that `dwz` has moved into a third file is not found. Names of Rust are demangled, those of
//! C++ are not.

mod frame;

#[cfg(feature = "sites")]
mod binary;
#[cfg(feature = "sites")]
mod cache;
#[cfg(feature = "sites")]
mod file;
#[cfg(feature = "sites")]
mod loaded;
#[cfg(feature = "sites")]
pub(crate) mod modules;
#[cfg(feature = "sites")]
mod separate;
#[cfg(feature = "sites")]
mod symbols;

#[cfg(feature = "sites")]
pub use alloc_counter::Module;
#[cfg(feature = "sites")]
pub use binary::{Binary, BinaryError};
pub use frame::{Frame, Unresolved};
#[cfg(feature = "sites")]
pub use symbols::{Symbols, frames_in_file};
