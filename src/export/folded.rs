//! Folded stacks: a line for each path, as [flame graph tools][format] read them.
//!
//! [format]: https://github.com/brendangregg/FlameGraph#2-fold-stacks

use std::fmt::Write as _;
use std::io;

use crate::hotspots::{By, Frame, Hotspots, Path};

impl Hotspots {
    /// Writes a line for each path: its functions from the outermost inwards, with `;` in between,
    /// a space, and the figure, as in `service::handle;service::db::store 57`.
    ///
    /// A figure of [`By::own`] adds up to the whole, which is what flame graph tools want; others
    /// include the paths that lead on from there. Paths of which it is 0 are left out. In names, what
    /// would end a frame or a line is written as in Rust (`\u{3b}`).
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn write_stacks(&self, by: By, mut out: impl io::Write) -> io::Result<()> {
        let paths = self.paths();
        for_each_stack(&paths, |stack, place| match by.of(paths[place].totals) {
            0 => Ok(()),
            figure => writeln!(out, "{stack} {figure}"),
        })
    }
}

/// Calls `each` with the names of every path's functions and its place among the paths.
pub(super) fn for_each_stack<E>(
    paths: &[Path<'_>],
    mut each: impl FnMut(&str, usize) -> Result<(), E>,
) -> Result<(), E> {
    let mut stack = String::new();
    // Where the names end that lead to the next path.
    let mut ends: Vec<usize> = Vec::new();
    for (place, path) in paths.iter().enumerate() {
        ends.truncate(path.depth);
        stack.truncate(ends.last().copied().unwrap_or(0));
        if path.depth > 0 {
            stack.push(';');
        }
        push_name(&mut stack, path.frame);
        ends.push(stack.len());
        each(&stack, place)?;
    }
    Ok(())
}

/// Neither a space, before which a tool would look for a number, nor what ends a
/// frame or a line.
fn push_name(stack: &mut String, frame: Frame<'_>) {
    for character in frame.qualified().chars() {
        if character == ';' || character.is_whitespace() {
            // A string takes all that is written.
            let _ = write!(stack, "{}", character.escape_unicode());
        } else {
            stack.push(character);
        }
    }
}
