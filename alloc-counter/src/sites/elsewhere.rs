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
    pub(super) const UNKNOWN: Self = Self;

    pub(super) fn base() -> Self {
        Self
    }

    pub(super) fn walk(_: &Start, _: &Self) -> Self {
        Self
    }

    #[expect(clippy::unused_self, reason = "as where stacks are walked")]
    pub(super) fn frames(&self) -> (&[usize], bool) {
        (&[], false)
    }

    pub(super) fn up_to(&self, _: &Self) -> (&[usize], bool) {
        self.frames()
    }
}

pub(super) mod walk {
    pub(in super::super) fn prepare() {}

    pub(in super::super) fn prepare_first() {}
}
