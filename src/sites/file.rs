//! The frames of addresses in one file.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use addr2line::gimli::{DW_LANG_Rust, Reader};
use addr2line::{FunctionName, Loader, Location, demangle, demangle_auto};

use super::loaded::{load_anywhere, load_of_process};
use super::modules::{name_of, shown_build_id};
use super::{Frame, Unresolved};
use crate::primitives::text::{CUT, character_boundary};

/// The most bytes of a function's name.
const MAX_FUNCTION_BYTES: usize = 256;
/// The most bytes of a source file's path.
const MAX_PATH_BYTES: usize = 1024;

/// The file of a module, with its symbols and debug information as far as they could be read.
pub(super) struct ModuleFile {
    name: Arc<str>,
    build_id: Option<Arc<str>>,
    loader: Result<Loader, Unresolved>,
}

impl ModuleFile {
    /// Opens the file of a module of this process.
    pub(super) fn of_process(path: &Path, build_id: &[u8]) -> Self {
        Self::new(path, build_id, load_of_process(path, build_id))
    }

    /// Opens the file of a module of any process.
    pub(super) fn anywhere(path: &Path, build_id: &[u8]) -> Self {
        Self::new(path, build_id, load_anywhere(path, build_id))
    }

    fn new(path: &Path, build_id: &[u8], loader: Result<Loader, Unresolved>) -> Self {
        Self {
            name: name_of(path),
            build_id: shown_build_id(build_id),
            loader,
        }
    }

    /// Returns whether the file could be read.
    pub(super) fn is_loaded(&self) -> bool {
        self.loader.is_ok()
    }

    /// Returns the frames of a virtual address of the file, the innermost first.
    pub(super) fn frames(&self, offset: u64) -> Arc<[Frame]> {
        let loader = match &self.loader {
            Ok(loader) => loader,
            Err(why) => return Arc::new([self.frame(offset, Some(*why))]),
        };
        // Debug information that can't be read is as good as none.
        let frames = self.debug_frames(loader, offset).unwrap_or_default();
        if frames.is_empty() {
            return Arc::new([self.symbol_frame(loader, offset)]);
        }
        frames.into()
    }

    /// Returns the frames that the debug information has; none if it doesn't have the address.
    fn debug_frames(&self, loader: &Loader, offset: u64) -> Option<Vec<Frame>> {
        let mut found = loader.find_frames(offset).ok()?;
        let mut frames: Vec<Frame> = Vec::new();
        let mut is_short = false;
        while let Some(found) = found.next().ok()? {
            let mut frame = self.frame(offset, None);
            (frame.file, frame.line) = place(found.location);
            match found.function {
                Some(name) => {
                    let name = Name::of(&name)?;
                    is_short = name.is_short;
                    frame.function = Some(name.text);
                }
                None if found.dw_die_offset.is_none() => {
                    frame.function = symbol(loader, offset);
                    frame.unresolved = may_be_inlined(loader).then_some(Unresolved::NoInlined);
                }
                None => {}
            }
            frames.push(frame);
        }
        // The symbol table has the whole name of the last one, which is not inlined.
        if is_short
            && let Some(frame) = frames.last_mut()
            && let Some(function) = symbol(loader, offset)
        {
            frame.function = Some(function);
        }
        Some(frames)
    }

    fn symbol_frame(&self, loader: &Loader, offset: u64) -> Frame {
        let function = symbol(loader, offset);
        let why = match function {
            Some(_) => Unresolved::NoLines,
            None => Unresolved::NoSymbols,
        };
        Frame {
            function,
            ..self.frame(offset, Some(why))
        }
    }

    /// Makes a frame of which only the place in the file is known.
    fn frame(&self, offset: u64, unresolved: Option<Unresolved>) -> Frame {
        Frame {
            module: Some(Arc::clone(&self.name)),
            build_id: self.build_id.clone(),
            unresolved,
            ..Frame::unknown(offset)
        }
    }
}

/// A function's name in debug information.
struct Name {
    text: String,
    /// Whether it has no path. With line tables only, the compiler writes no more.
    is_short: bool,
}

impl Name {
    fn of<R: Reader>(name: &FunctionName<R>) -> Option<Self> {
        let raw = name.raw_name().ok()?;
        let language = name.language.unwrap_or(DW_LANG_Rust);
        let demangled = demangle(&raw, language);
        Some(Self {
            text: cut(demangled.as_deref().unwrap_or(&raw), MAX_FUNCTION_BYTES),
            is_short: demangled.is_none() && language == DW_LANG_Rust,
        })
    }
}

fn symbol(loader: &Loader, offset: u64) -> Option<String> {
    let name = Cow::Borrowed(loader.find_symbol(offset)?);
    Some(cut(&demangle_auto(name, None), MAX_FUNCTION_BYTES))
}

fn place(location: Option<Location<'_>>) -> (Option<String>, Option<u32>) {
    match location {
        Some(it) => (it.file.map(|file| cut(file, MAX_PATH_BYTES)), it.line),
        None => (None, None),
    }
}

/// Returns whether a line whose function is not in the debug information may be in an inlined function.
///
/// With line tables only, compilers leave a function out if nothing was inlined into it, so the line is its
/// own. If debug information is split, a function is also missing if the file that has it was not found.
/// Such a file has this section.
fn may_be_inlined(loader: &Loader) -> bool {
    loader.get_section_range(b".debug_addr").is_some()
}

/// Copies a text, up to a number of bytes.
fn cut(text: &str, at_most: usize) -> String {
    if text.len() <= at_most {
        return text.to_owned();
    }
    let end = character_boundary(text.as_bytes(), at_most - CUT.len());
    format!("{}{CUT}", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_cut_at_a_character() {
        assert_eq!(cut("éé", 4), "éé");
        assert_eq!(cut("ééé", 5), "é…");
        assert_eq!(cut("\u{1b}[31m", 8), "\u{1b}[31m");
    }
}
