//! Tests that need a process of their own: they check figures or limits of a process, fork, or read the
//! output of a process. They need Unix; on other systems this program does nothing.
//!
//! This program starts itself once for each test. It doesn't use libtest, whose threads allocate.

// By its path, so that its modules are in this folder.
#[cfg(unix)]
#[path = "unix.rs"]
mod unix;

#[cfg(unix)]
use unix::main;

#[cfg(not(unix))]
fn main() {}
