//! How deep `async fn`s may call one another before the compiler fails to prove that the outermost is
//! `Send`: its default `recursion_limit` is 128 layers of types. The documentation of `#[traced]` and
//! `#[budget]` states the figure.

use std::fmt;

use tokio::runtime::Runtime;
use tokio::task::yield_now;
use tracer::{Trace, budget, traced};

/// Functions of these names, each of which awaits the one before.
macro_rules! nest {
    ($(#[$attribute:meta])+, $output:ty, $inner:ident $name:ident $($outer:ident)*) => {
        nest!(@one [$(#[$attribute])+] $output, $inner $name);
        nest!($(#[$attribute])+, $output, $name $($outer)*);
    };
    ($(#[$attribute:meta])+, $output:ty, $outermost:ident) => {};
    (@one [$(#[$attribute:meta])+] $output:ty, $inner:ident $name:ident) => {
        $(#[$attribute])+
        pub(super) async fn $name(text: &str) -> $output {
            let inner = $inner(text).await;
            yield_now().await;
            inner
        }
    };
}

/// A module with 23 functions of this kind, `f23` the outermost.
macro_rules! deep {
    ($module:ident, $(#[$attribute:meta])+) => {
        mod $module {
            use super::*;

            async fn innermost(text: &str) -> Result<usize, fmt::Error> {
                yield_now().await;
                Ok(text.len())
            }

            nest!(
                $(#[$attribute])+,
                Result<usize, fmt::Error>,
                innermost f1 f2 f3 f4 f5 f6 f7 f8 f9 f10 f11 f12 f13 f14 f15 f16 f17 f18 f19 f20 f21
                f22 f23
            );
        }
    };
}

deep!(with_traced, #[traced]);
deep!(with_err, #[traced(err)]);
deep!(with_budget, #[budget(allocations <= 1000)]);
deep!(with_all, #[traced(err, depth = 23)] #[budget(allocations <= 1000)]);

fn sent<F: Future + Send>(future: F) -> F {
    future
}

#[test]
fn async_functions_are_sent_23_deep() {
    let trace = Trace::new();
    let all = trace.instrument(async {
        [
            sent(with_traced::f23("abc")).await,
            sent(with_err::f23("abc")).await,
            sent(with_budget::f23("abc")).await,
            sent(with_all::f23("abc")).await,
        ]
    });
    let all = Runtime::new().unwrap().block_on(all);
    assert_eq!(all, [3; 4].map(Ok));
    assert_eq!(trace.report().calls.len(), 4 * 23);
}
