//! In place of `modules` and `walk` on platforms on which stacks are not walked: sites have no frames.

pub(super) mod modules {
    use super::super::Module;

    /// Returns the modules that are loaded now; none on this platform.
    pub fn modules() -> Vec<Module> {
        Vec::new()
    }
}

pub(super) mod walk {
    /// The frames of the thread: none.
    pub(in super::super) struct Stack;

    impl Stack {
        pub(in super::super) const UNKNOWN: Self = Self;

        pub(in super::super) fn base() -> Self {
            Self
        }

        pub(in super::super) fn walk(_: &Self) -> Self {
            Self
        }

        #[expect(clippy::unused_self, reason = "as where stacks are walked")]
        pub(in super::super) fn frames(&self) -> (&[usize], bool) {
            (&[], false)
        }

        pub(in super::super) fn up_to(&self, _: &Self) -> (&[usize], bool) {
            self.frames()
        }
    }

    pub(in super::super) fn prepare() {}

    pub(in super::super) fn prepare_first() {}
}
