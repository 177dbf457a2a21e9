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

/// The frames of the thread: none.
pub(super) struct Stack;

impl Stack {
    pub(super) fn walk(_: &Start, _: &Base) -> Self {
        Self
    }

    #[expect(clippy::unused_self, reason = "as where stacks are walked")]
    pub(super) fn frames(&self) -> (&[usize], bool) {
        (&[], false)
    }

    pub(super) fn up_to(&self, _: &Base) -> (&[usize], bool) {
        self.frames()
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
    pub(in super::super) fn is_prepared() -> bool {
        true
    }

    pub(in super::super) fn prepare() {}

    pub(in super::super) fn prepare_first() {}
}
