//! Budgets on functions: what `#[budget]` checks, and what follows.

pub(crate) mod future;
pub(crate) mod run;

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU8, AtomicU64};

use alloc_counter::Budget;

/// What happens where a function exceeds its budget: see [`on_exceeded`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnExceeded {
    /// The function panics with what was allowed, what happened, and the tree of what ran inside.
    /// Where it panics anyway, that is told on standard error instead.
    Panic,
    /// The function's call in the current trace gets a checkpoint that says so.
    Mark,
}

static POLICY: AtomicU8 = AtomicU8::new(BY_BUILD);
const BY_BUILD: u8 = 0;
const PANIC: u8 = 1;
const MARK: u8 = 2;

static EXCEEDED: AtomicU64 = AtomicU64::new(0);

/// Says for the whole process what happens where a function exceeds its budget.
///
/// Unless told, functions panic where they were compiled with debug assertions or as tests, and are
/// marked where they were compiled otherwise, as in a release: a budget fails a test, and never
/// a service.
///
/// Where nothing is counted, functions panic that were compiled as tests, and all if told to: a budget
/// that can't fail is no test. A program in the making runs without [`Counting`](crate::Counting).
pub fn on_exceeded(policy: OnExceeded) {
    let policy = match policy {
        OnExceeded::Panic => PANIC,
        OnExceeded::Mark => MARK,
    };
    POLICY.store(policy, Relaxed);
}

/// How often functions have exceeded their budgets in this process, whatever followed.
pub fn exceeded() -> u64 {
    EXCEEDED.load(Relaxed)
}

/// A function with a budget, as the attribute knows it.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Site {
    pub name: &'static str,
    pub budget: Budget,
    /// Compiled as a test, and with debug assertions.
    pub is_test: bool,
    pub is_debug: bool,
    /// Panics with this text. It stands in the attribute's expansion, so that the panic's place is
    /// the attribute and not a line of this file.
    pub raise: fn(String) -> !,
}

impl Site {
    fn panics(&self) -> bool {
        match POLICY.load(Relaxed) {
            PANIC => true,
            MARK => false,
            _ => self.is_test || self.is_debug,
        }
    }

    /// Also where nothing is counted: only where this surely is a test.
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

    /// As long as nobody has decided, which no test of this binary does.
    #[test]
    fn how_a_function_was_compiled_decides() {
        let reactions = |is_test, is_debug| {
            let site = Site {
                name: "f",
                budget: Budget::none(),
                is_test,
                is_debug,
                raise: |text| panic!("{text}"),
            };
            (site.panics(), site.panics_uncounted())
        };
        assert_eq!(reactions(false, false), (false, false));
        // A program in the making need not count.
        assert_eq!(reactions(false, true), (true, false));
        assert_eq!(reactions(true, false), (true, true));
        assert_eq!(reactions(true, true), (true, true));
    }
}
