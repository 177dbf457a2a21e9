//! In place of `linux` on platforms on which stacks are not walked: sites have no frames.

pub(super) mod modules {
    use super::super::Module;

    /// Returns the modules that are loaded now; none on this platform.
    pub fn modules() -> Vec<Module> {
        Vec::new()
    }
}

/// Where no walk begins.
pub(super) struct Start;

impl Start {
    pub(super) fn here() -> Self {
        Self
    }
}

/// The frames of the thread: none, after a place for an owner.
pub(super) struct Stack([usize; 1]);

/// How far a stack goes.
#[derive(Clone, Copy)]
pub(super) struct Extent {
    pub(super) len: usize,
    pub(super) is_whole: bool,
}

impl Stack {
    pub(super) const UNKNOWN: Self = Self([0]);

    #[expect(clippy::unused_self, reason = "as where stacks are walked")]
    pub(super) fn walk(&mut self, _: &Start, _: &Base) {}

    #[expect(clippy::unused_self, reason = "as where stacks are walked")]
    pub(super) fn extent(&self) -> Extent {
        Extent {
            len: 0,
            is_whole: false,
        }
    }

    pub(super) fn extent_to(&self, _: &Base) -> Extent {
        self.extent()
    }

    pub(super) fn key(&mut self, owner: u32, _: usize) -> &[usize] {
        self.0[0] = owner as usize;
        &self.0
    }
}

/// The functions that were running: none are known.
pub(super) struct Base;

impl Base {
    pub(super) const UNKNOWN: Self = Self;

    pub(super) fn here() -> Self {
        Self
    }

    #[expect(clippy::unused_self, reason = "as where stacks are walked")]
    pub(super) fn is_unknown(&self) -> bool {
        true
    }
}

pub(super) mod walk {
    pub(in super::super) fn prepare() {}

    pub(in super::super) fn prepare_first() {}
}
