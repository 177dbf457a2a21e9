//! Budgets on functions: what `#[budget]` checks, and what happens if a function exceeds its budget.

pub(crate) mod assertion;
#[cfg(feature = "blocks")]
mod blocks;
pub(crate) mod exceeded;
pub(crate) mod future;
pub(crate) mod run;
#[cfg(feature = "sites")]
mod sites;
#[cfg(not(feature = "blocks"))]
mod without_blocks;
#[cfg(not(feature = "sites"))]
mod without_sites;

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU8, AtomicU64};

#[cfg(not(feature = "blocks"))]
use without_blocks as blocks;
#[cfg(not(feature = "sites"))]
use without_sites as sites;

use assertion::Budget;

/// What happens if a function exceeds its budget: see [`on_exceeded`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnExceeded {
    /// The function panics with the budget, the figures, the lines that allocated, and the tree of the calls
    /// inside. If it is panicking already, the message goes to standard error.
    ///
    /// The lines need the feature `sites`. With it, a run takes some microseconds more, and each of its first
    /// 10,000 allocations a quarter of a microsecond, or 6 µs if the crates `tracer-alloc-counter` and `framehop` are
    /// compiled without optimisation; later ones have no lines. They are looked up before the function panics:
    /// some 100 ms for a program with 80 MB of debug information, and ten times as long without optimisation.
    Panic,
    /// The function's call in the current trace gets a checkpoint `over budget: …`, or `under budget: …` if
    /// only exact limits were not reached.
    Mark,
}

static POLICY: AtomicU8 = AtomicU8::new(BY_BUILD);
const BY_BUILD: u8 = 0;
const PANIC: u8 = 1;
const MARK: u8 = 2;

static EXCEEDED: AtomicU64 = AtomicU64::new(0);

/// Sets for the whole process what happens if a function exceeds its budget.
///
/// By default it depends on how the function was compiled. With debug assertions or as a test it
/// panics, otherwise it is marked: a budget fails a test, but never a service.
///
/// If no [`Counting`](crate::Counting) allocator is installed, a budget can't be checked. Then by
/// default only a function that was compiled as a test panics, since a test that can't fail is a
/// defect. With [`OnExceeded::Panic`] set, every function with a budget panics.
pub fn on_exceeded(policy: OnExceeded) {
    let policy = match policy {
        OnExceeded::Panic => PANIC,
        OnExceeded::Mark => MARK,
    };
    POLICY.store(policy, Relaxed);
}

/// Returns how many times functions have exceeded their budgets, or not reached exact limits, in this process,
/// whatever the policy.
pub fn exceeded() -> u64 {
    EXCEEDED.load(Relaxed)
}

/// A function with a budget, as the attribute describes it.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Site {
    pub about: &'static About,
    pub budget: Budget,
    /// Whether the function was compiled as a test.
    pub is_test: bool,
    /// Whether the function was compiled with debug assertions.
    pub is_debug: bool,
    /// Panics with this text. The closure is written in the attribute's expansion, so that the panic's
    /// location is the attribute.
    pub raise: fn(String) -> !,
}

/// What a message says of a function with a budget.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct About {
    pub name: &'static str,
    /// The attribute's arguments beside the limits, each with a comma.
    pub arguments: &'static str,
}

impl Site {
    /// Whether the function panics if it exceeds its budget. Inline, because most runs ask only this.
    #[inline]
    fn panics(&self) -> bool {
        match POLICY.load(Relaxed) {
            PANIC => true,
            MARK => false,
            _ => self.is_test || self.is_debug,
        }
    }

    /// Whether the function panics if nothing is counted.
    fn panics_uncounted(&self) -> bool {
        match POLICY.load(Relaxed) {
            PANIC => true,
            MARK => false,
            _ => self.is_test,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Holds as long as no test of this binary calls `on_exceeded`.
    #[test]
    fn how_a_function_was_compiled_decides() {
        let reactions = |is_test, is_debug| {
            let site = Site {
                about: &About {
                    name: "f",
                    arguments: "",
                },
                budget: Budget::none(),
                is_test,
                is_debug,
                raise: |text| panic!("{text}"),
            };
            (site.panics(), site.panics_uncounted())
        };
        assert_eq!(reactions(false, false), (false, false));
        // A debug build may run without the counting allocator.
        assert_eq!(reactions(false, true), (true, false));
        assert_eq!(reactions(true, false), (true, true));
        assert_eq!(reactions(true, true), (true, true));
    }
}
