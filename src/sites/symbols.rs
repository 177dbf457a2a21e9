//! The frames of return addresses, through the modules that contain them.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use alloc_counter::Module;

use super::cache::Cache;
use super::file::ModuleFile;
use super::modules::Modules;
use super::{Frame, Unresolved};

/// Looks up functions and lines of return addresses.
///
/// The frames of the last 4,096 addresses are kept, with at most 4 MiB of names and paths.
#[derive(Debug)]
pub struct Symbols {
    modules: Modules,
    cache: Cache,
}

impl Symbols {
    /// Makes a lookup for addresses in these modules. If a module is unloaded, its addresses may get
    /// another meaning, so a program that does so needs another `Symbols`.
    pub fn new(modules: Vec<Module>) -> Self {
        Self {
            modules: Modules::new(modules),
            cache: Cache::default(),
        }
    }

    /// Makes a lookup for addresses in the modules that are loaded now.
    pub fn of_process() -> Self {
        Self::new(alloc_counter::modules())
    }

    /// Returns the frames of each return address, in the order of the addresses: inlined functions first,
    /// then the function into which they were inlined. There is at least one frame for an address; what is
    /// not known of it is `None`.
    ///
    /// A return address is that of the instruction after the call. The call itself may be in another line
    /// or even another function, so it is the address before that is looked up.
    ///
    /// Cost: each module with a new address is mapped and parsed: its symbols, an index of its compiled
    /// units, and functions and lines of the units that contain an address. For a file of 80 MB, that takes
    /// some 100 ms and 40 MB; ten times as long if `addr2line` and `gimli` are compiled without optimisation.
    /// The method frees all of it before it returns, so it is cheaper to look up many addresses at once. An
    /// address that was looked up before costs some microseconds.
    ///
    /// A file that is cut short in place while it is mapped ends the process. The system prevents this for
    /// the file of a running program; package managers and linkers replace files instead.
    pub fn frames(&mut self, addresses: &[usize]) -> Vec<Arc<[Frame]>> {
        let mut sorted = addresses.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        let mut found = HashMap::with_capacity(sorted.len());
        // Only the file of one module is open at a time. The addresses of a module follow each other.
        let mut open: Option<(usize, ModuleFile)> = None;
        for address in sorted {
            let frames = match self.cache.get(address as u64) {
                Some(frames) => Arc::clone(frames),
                None => self.look_up(address, &mut open),
            };
            found.insert(address, frames);
        }
        let of_each = addresses.iter().map(|address| Arc::clone(&found[address]));
        of_each.collect()
    }

    fn look_up(&mut self, address: usize, open: &mut Option<(usize, ModuleFile)>) -> Arc<[Frame]> {
        let in_call = address.saturating_sub(1);
        let frames = match self.modules.find(in_call) {
            None => Arc::new([Frame::unknown(in_call as u64)]),
            Some(number) => {
                let module = &self.modules.get(number).module;
                if open.as_ref().is_none_or(|(other, _)| *other != number) {
                    // The memory of the file before is given back first.
                    *open = None;
                }
                let (_, file) = open.get_or_insert_with(|| {
                    let file = ModuleFile::of_process(&module.path, &module.build_id);
                    (number, file)
                });
                file.frames(in_call.wrapping_sub(module.bias) as u64)
            }
        };
        self.cache.insert(address as u64, &frames);
        frames
    }

    /// Forgets what was found if other modules are loaded now.
    #[cfg(feature = "recorder")]
    pub(crate) fn refresh(&mut self) {
        let modules = Modules::of_process();
        if !self.modules.are_same(&modules) {
            *self = Self {
                modules,
                cache: Cache::default(),
            };
        }
    }

    /// Looks up frames of this process that have [not been looked up](Unresolved::NotLookedUp), as
    /// [`frames`](Self::frames) does. The others stay as they are.
    pub fn resolve(&mut self, frames: &[Frame]) -> Vec<Arc<[Frame]>> {
        let address = |frame: &Frame| match frame.unresolved {
            Some(Unresolved::NotLookedUp) => self.modules.address(frame),
            _ => None,
        };
        let addresses: Vec<_> = frames.iter().map(address).collect();
        let known: Vec<_> = addresses.iter().copied().flatten().collect();
        let mut found = self.frames(&known).into_iter();
        let of_each = frames.iter().zip(addresses).map(|(frame, address)| {
            let found = address.and_then(|_| found.next());
            found.unwrap_or_else(|| Arc::new([frame.clone()]))
        });
        of_each.collect()
    }
}

/// Returns the frames of virtual addresses in a file, such as those in [`Frame::offset`] of another
/// process, as [`Symbols::frames`] does. The build id is that of the module; if it is empty, the file is
/// taken for the right one.
pub fn frames_in_file(path: &Path, build_id: &[u8], offsets: &[u64]) -> Vec<Arc<[Frame]>> {
    let file = ModuleFile::anywhere(path, build_id);
    offsets.iter().map(|offset| file.frames(*offset)).collect()
}
