//! Functions and lines of code addresses: in this process, and in programs that the tests compile.

// They read `/proc`.
#![cfg(target_os = "linux")]

#[path = "../common/sites.rs"]
mod figures;

mod calls;
mod hotspots;
mod own;
mod programs;
mod replaced;
mod table;

use std::path::Path;

use tracer::Counting;
use tracer::sites::Frame;

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();

/// Returns a line for each frame: the function, the place, and why something is not known. The place is
/// relative to a folder.
fn shown(frames: &[Frame], folder: &Path) -> Vec<String> {
    let show = |frame: &Frame| {
        let function = frame.function.as_deref().unwrap_or("?");
        let file = frame.file.as_deref().map_or("?", |file| {
            let path = Path::new(file).strip_prefix(folder).ok();
            path.and_then(Path::to_str).unwrap_or(file)
        });
        let line = frame.line.map_or("?".to_owned(), |line| line.to_string());
        let why = frame.unresolved.map(|why| format!(" ({why})"));
        format!("{function} {file}:{line}{}", why.unwrap_or_default())
    };
    frames.iter().map(show).collect()
}
