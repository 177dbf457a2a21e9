//! A program or shared library in memory.

use std::ops::Range;
use std::path::PathBuf;

/// A program or shared library in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// The path of its file, as the system names it. For the running program, that is the target of
    /// `/proc/self/exe`, also if it ends with ` (deleted)`.
    pub path: PathBuf,
    /// The addresses of its segments in this process.
    pub range: Range<usize>,
    /// An address in this process minus the virtual address in the file; it wraps around.
    pub bias: usize,
    /// Its build id, which tells it from other builds; empty if it has none.
    pub build_id: Vec<u8>,
}
