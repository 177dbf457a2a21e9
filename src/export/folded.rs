//! Folded stacks: a line for each path, as [flame graph tools][format] read them.
//!
//! [format]: https://github.com/brendangregg/FlameGraph#2-fold-stacks

use std::fmt::Write as _;
use std::io;

use crate::hotspots::{By, Frame, Hotspots};

/// Deeper paths are cut: nobody can use a higher picture, and a path has all of its names.
pub(super) const MAX_DEPTH: usize = 500;

impl Hotspots {
    /// Writes folded stacks: a line for each path with its functions, the outermost first, separated by
    /// `;`, a space, and the figure, as in `service::handle;service::db::store 57`.
    ///
    /// Flame graph tools expect a figure that adds up to the whole, such as one of [`By::own`]; others
    /// include the paths below. Paths of which the figure is 0 are left out. Paths of more than 500 functions
    /// are cut at that depth. Characters that would end a frame or a line are escaped as in Rust (`\u{3b}`).
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn write_stacks(&self, by: By, mut out: impl io::Write) -> io::Result<()> {
        self.for_each_stack(by, |stack, figure| writeln!(out, "{stack} {figure}"))
    }

    /// Calls `each` with the stack and the figure of each path, unless the figure is 0.
    pub(super) fn for_each_stack<E>(
        &self,
        by: By,
        mut each: impl FnMut(&str, u64) -> Result<(), E>,
    ) -> Result<(), E> {
        // Others include the paths below already.
        let adds_up = by.own() == Some(by);
        let mut stack = String::new();
        // Lengths of the stacks that lead to the next path.
        let mut ends: Vec<usize> = Vec::new();
        let mut paths = self.paths().into_iter().peekable();
        while let Some(path) = paths.next() {
            ends.truncate(path.depth);
            stack.truncate(ends.last().copied().unwrap_or(0));
            if path.depth > 0 {
                stack.push(';');
            }
            push_name(&mut stack, path.frame);
            ends.push(stack.len());
            let mut figure = by.of(path.totals);
            // Deeper paths follow directly on the one at the limit.
            while let Some(deeper) = paths.next_if(|path| path.depth >= MAX_DEPTH) {
                if adds_up {
                    figure = figure.saturating_add(by.of(deeper.totals));
                }
            }
            if figure > 0 {
                each(&stack, figure)?;
            }
        }
        Ok(())
    }
}

/// Appends a name without a space behind which a tool would look for a number, and without characters that end
/// a frame or a line.
fn push_name(stack: &mut String, frame: Frame<'_>) {
    let name = frame.qualified();
    let mut rest = name.chars();
    while let Some(character) = rest.next() {
        let next = rest.as_str().chars().next();
        let is_of_name = character == ' ' && next.is_some_and(char::is_alphabetic);
        if character == ';' || character.is_whitespace() && !is_of_name {
            // Writing to a string can't fail.
            let _ = write!(stack, "{}", character.escape_unicode());
        } else {
            stack.push(character);
        }
    }
}
