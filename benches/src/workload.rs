//! The request by which the Go library of the same name is measured: nine calls and six checkpoints,
//! four levels deep.
//!
//! ```text
//! root ── a ── a1 ── closure
//!      │    └─ a2
//!      └─ b ── b1 ── closure
//!           └─ closure
//! ```
//!
//! `root`, `a` and `b` have two checkpoints each. Every library traces the same tree of functions,
//! which are not inlined. In libraries without checkpoints an event takes their place.

use std::hint::black_box;

use tracer::Trace;

/// The tree of functions, in one library. `$root` and `$call` are macros that open the outermost call
/// and the others; `$checkpoint` sets a checkpoint in a call.
macro_rules! tree {
    ($(#[$doc:meta])* $library:ident, $root:ident, $call:ident, $checkpoint:ident) => {
        $(#[$doc])*
        pub mod $library {
            /// Calls the tree of functions once.
            #[inline(never)]
            pub fn root() {
                let call = $root!();
                $checkpoint!(call, "a");
                a();
                $checkpoint!(call, "b");
                b();
                drop(call);
            }

            #[inline(never)]
            fn a() {
                let call = $call!("a");
                $checkpoint!(call, "a1");
                a1();
                $checkpoint!(call, "a2");
                a2();
                drop(call);
            }

            #[inline(never)]
            fn a1() {
                let call = $call!("a1");
                closure();
                drop(call);
            }

            #[inline(never)]
            fn a2() {
                drop($call!("a2"));
            }

            #[inline(never)]
            fn b() {
                let call = $call!("b");
                $checkpoint!(call, "b1");
                b1();
                $checkpoint!(call, "closure");
                closure();
                drop(call);
            }

            #[inline(never)]
            fn b1() {
                let call = $call!("b1");
                closure();
                drop(call);
            }

            #[inline(never)]
            fn closure() {
                drop($call!("closure"));
            }
        }
    };
}

/// A value whose drop the optimiser can't remove, like a guard's.
struct Untraced;

impl Drop for Untraced {
    fn drop(&mut self) {
        black_box(());
    }
}

macro_rules! untraced {
    ($($name:literal)?) => {
        super::Untraced
    };
}

macro_rules! no_checkpoint {
    ($call:ident, $name:literal) => {
        std::hint::black_box($name)
    };
}

tree!(
    /// The functions without any tracing.
    untraced, untraced, untraced, no_checkpoint
);

macro_rules! traced {
    ($($name:literal)?) => {
        tracer::call!()
    };
}

macro_rules! checkpoint {
    ($call:ident, $name:literal) => {
        $call.checkpoint($name)
    };
}

tree!(
    /// With calls and checkpoints of `tracer`, in the current trace.
    traced, traced, traced, checkpoint
);

macro_rules! checkpoint_in_root {
    ($call:ident, "a") => {
        $call.checkpoint("a")
    };
    ($call:ident, "b") => {
        $call.checkpoint("b")
    };
    ($call:ident, $name:literal) => {
        std::hint::black_box($name)
    };
}

tree!(
    /// With calls of `tracer`, and only the two checkpoints in `root`.
    traced_with_two_checkpoints,
    traced,
    traced,
    checkpoint_in_root
);

macro_rules! tracing_root {
    () => {
        tracing::info_span!("root").entered()
    };
}

macro_rules! tracing_span {
    ($name:literal) => {
        tracing::info_span!($name).entered()
    };
}

macro_rules! tracing_event {
    ($span:ident, $name:literal) => {
        tracing::info!($name)
    };
}

tree!(
    /// With spans and events of `tracing`.
    in_tracing, tracing_root, tracing_span, tracing_event
);

macro_rules! fastrace_root {
    () => {
        crate::requests::in_fastrace()
    };
}

macro_rules! fastrace_no_root {
    () => {
        fastrace::local::LocalSpan::enter_with_local_parent("root")
    };
}

macro_rules! fastrace_span {
    ($name:literal) => {
        fastrace::local::LocalSpan::enter_with_local_parent($name)
    };
}

macro_rules! fastrace_event {
    ($span:ident, $name:literal) => {
        fastrace::local::LocalSpan::add_event(fastrace::Event::new($name))
    };
}

tree!(
    /// With spans and events of `fastrace`, in a root span of its own.
    in_fastrace, fastrace_root, fastrace_span, fastrace_event
);

tree!(
    /// With spans and events of `fastrace`, without a parent: nothing is recorded.
    in_fastrace_without_parent,
    fastrace_no_root,
    fastrace_span,
    fastrace_event
);

/// Records the request in a trace of its own. The trace is complete; its last handle is returned.
pub fn request() -> Trace {
    let trace = Trace::new();
    let _scope = trace.inject();
    traced::root();
    trace
}
