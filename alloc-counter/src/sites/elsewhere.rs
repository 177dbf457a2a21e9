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
        pub(in super::super) fn walk(_: usize) -> Self {
            Self
        }

        #[expect(clippy::unused_self, reason = "as where stacks are walked")]
        pub(in super::super) fn up_to(&self, _: usize) -> (&[usize], bool) {
            (&[], false)
        }
    }

    pub(in super::super) fn prepare() {}

    pub(in super::super) fn prepare_first() {}
}
