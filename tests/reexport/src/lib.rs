//! A library that re-exports the crate `tracer` under another name, and wraps its attribute in a macro.

pub use hidden as requests;

/// Traces a function of the caller's crate, with a budget of one allocation.
#[macro_export]
macro_rules! watched {
    ($function:item) => {
        #[$crate::requests::budget(crate = $crate::requests, allocations <= 1)]
        $function
    };
}
