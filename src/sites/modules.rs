//! The modules of a process, by address and by name.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use alloc_counter::Module;

use super::Frame;
use super::frame::Unresolved;
use super::loaded::without_mark;
use super::separate::hex;

/// Modules in order of address.
#[derive(Debug)]
pub(crate) struct Modules(Vec<Named>);

#[derive(Debug)]
pub(super) struct Named {
    pub(super) module: Module,
    pub(super) name: Arc<str>,
    pub(super) build_id: Option<Arc<str>>,
}

impl Named {
    fn new(module: Module) -> Self {
        Self {
            name: name_of(&module.path),
            build_id: shown_build_id(&module.build_id),
            module,
        }
    }
}

impl Modules {
    pub(super) fn new(mut modules: Vec<Module>) -> Self {
        modules.sort_by_key(|module| module.range.start);
        Self(modules.into_iter().map(Named::new).collect())
    }

    /// Returns the modules that are loaded now.
    pub(crate) fn of_process() -> Self {
        Self::new(alloc_counter::modules())
    }

    #[cfg(feature = "recorder")]
    pub(super) fn are_same(&self, other: &Self) -> bool {
        let modules = |these: &Self| {
            these
                .0
                .iter()
                .map(|it| it.module.clone())
                .collect::<Vec<_>>()
        };
        modules(self) == modules(other)
    }

    pub(super) fn get(&self, number: usize) -> &Named {
        &self.0[number]
    }

    /// Returns the number of the module that contains an address.
    pub(super) fn find(&self, address: usize) -> Option<usize> {
        let after = self
            .0
            .partition_point(|named| named.module.range.start <= address);
        let number = after.checked_sub(1)?;
        let range = &self.0[number].module.range;
        range.contains(&address).then_some(number)
    }

    /// Returns the place of a return address, without looking it up.
    fn frame(&self, address: usize) -> Frame {
        let in_call = address.saturating_sub(1);
        let Some(number) = self.find(in_call) else {
            return Frame::unknown(in_call as u64);
        };
        let Named {
            module,
            name,
            build_id,
        } = self.get(number);
        Frame {
            module: Some(Arc::clone(name)),
            build_id: build_id.clone(),
            unresolved: Some(Unresolved::NotLookedUp),
            ..Frame::unknown(in_call.wrapping_sub(module.bias) as u64)
        }
    }

    /// Returns the return address of a [frame](Self::frame); `None` if it is in none of these modules.
    pub(super) fn address(&self, frame: &Frame) -> Option<usize> {
        let name = frame.module.as_ref()?;
        let is_it = |it: &&Named| it.name == *name && it.build_id == frame.build_id;
        let bias = self.0.iter().find(is_it)?.module.bias;
        let offset = usize::try_from(frame.offset).ok()?;
        Some(offset.wrapping_add(bias).wrapping_add(1))
    }
}

/// The frames of return addresses that are not looked up, one for each address however many sites have it.
pub(crate) struct Frames {
    modules: Modules,
    known: HashMap<usize, Arc<Frame>>,
}

impl Frames {
    /// Of addresses in the modules that are loaded now.
    pub(crate) fn of_process() -> Self {
        Self {
            modules: Modules::of_process(),
            known: HashMap::new(),
        }
    }

    /// Returns the frame of a return address.
    pub(crate) fn get(&mut self, address: usize) -> Arc<Frame> {
        let new = || Arc::new(self.modules.frame(address));
        Arc::clone(self.known.entry(address).or_insert_with(new))
    }
}

/// Returns the name of a module's file.
pub(super) fn name_of(path: &Path) -> Arc<str> {
    let path = without_mark(path);
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into()
}

/// Returns a build id as it is shown; `None` if there is none.
pub(super) fn shown_build_id(build_id: &[u8]) -> Option<Arc<str>> {
    (!build_id.is_empty()).then(|| hex(build_id).into())
}
