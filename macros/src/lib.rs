//! The attributes `#[traced]` and `#[budget]` of the crate `tracer`.
//!
//! Depend on `tracer`, which re-exports them. Their expansions name that crate, as `::tracer` or by the
//! path in `crate = path`.

#![forbid(unsafe_code)]

mod crate_path;

mod function;

mod around;

mod arguments;
mod expand;

mod limits;

mod budget;

use proc_macro::TokenStream;

/// Makes each run of a function a call of the current trace, named after the function.
///
/// The call starts before the function's body and stops after it, whether it ends by its last
/// expression, an early `return`, a `?` or a panic. If no trace is current, the function runs unchanged,
/// and neither an id nor a label is formatted.
///
/// # Arguments
///
/// All arguments are optional.
///
/// - `err`: if the function returns an `Err`, the call's outcome is *failed*, with the error's `Display`
///   as its message. The function must return a `Result` whose error is `Display`. With `err(Debug)` the
///   message is the error's `Debug`, and only `Debug` is required. It may stand at any position. An
///   argument of the function that is called `err` can be an argument of the format string; the word
///   then stands before that string or after a label.
/// - A format string and its arguments, as in `"{id}"` or `"{}", user.id`: the call's id.
/// - Labels after it, each as `name = value`.
/// - `name = "load"`: the call's name, instead of the function's; a string literal. It may stand at any
///   position.
/// - `crate = my_lib::tracer`: the path to the crate `tracer`, `::tracer` by default. For crates that
///   depend on it only through another crate, which re-exports it. It may stand at any position.
///
/// Id and labels are those of the macro `call!`. They may use the function's arguments and `self`, and
/// are evaluated before the body. `level`, `target`, `parent` and `follows_from` of `#[instrument]` from
/// `tracing` are rejected: a call has no level and no target, and its parent is the open call. For a
/// label of such a name, or one called `name`, write `r#level = value`. No label can be called `crate`.
///
/// # Async functions
///
/// The call of an `async fn` is open only while the future is polled, so its allocations and busy
/// time are its own, whatever its task's thread does in between. A future dropped before it is ready
/// leaves a call that is *cancelled*. The arguments move into the call and are dropped in it, in
/// their usual order.
///
/// To find out whether a future is `Send`, as `tokio::spawn` requires, the compiler looks at the types
/// of all futures inside, 128 layers deep by default. That is enough for 23 traced functions that
/// await one another (and for 38 without attributes). For more, put
/// `#![recursion_limit = "256"]` into the crate, or one of the futures into a
/// `Pin<Box<dyn Future + Send>>`.
///
/// A function that is not `async` itself is traced in the same way if its body ends with `Box::pin(async
/// move { ... })` or `async move { ... }`. That is what `#[async_trait]` makes of a method, so
/// `#[traced]` can stand on methods in its traits and implementations. Id and labels are evaluated at
/// the first poll. Statements before the future, which run when the function is called, are not in the
/// call. Any other function whose type says that it returns a future (`impl Future`, `Pin<Box<dyn
/// Future>>`, `BoxFuture`, `Self::Future`) is rejected, because its call would cover only the making of
/// the future.
///
/// # Unchanged parts
///
/// The signature, with its visibility, generics, lifetimes, `impl Trait`, patterns, `unsafe` and
/// `extern`; all other attributes; and, in every edition, the order in which temporaries, locals and
/// arguments are dropped. Temporaries and locals are dropped in the call. Arguments are dropped after
/// it, unless the body has moved them. With `err`, or on an `async fn`, the body becomes a block that
/// owns the arguments, and they are dropped in the call. There are two exceptions then. An argument
/// bound to `_`, or the part of an argument that its pattern does not bind, is dropped after all others,
/// and after the call. Under `#[track_caller]`, `err` makes a panic name this function, not its caller.
///
/// Lints of the compiler and of Clippy report the same as without the attribute, with these exceptions:
/// `needless_question_mark` does not see the end of a function that is neither `async` nor has `err`;
/// `needless_pass_by_value` does not see the use of arguments in one with `err`, which also allows
/// `result_large_err` on closures inside; and `unused_async` sees an `.await`.
///
/// # Compile errors
///
/// The attribute fails to compile on anything but a function with a body; on a `const fn`, which can't
/// read a clock; on a function that returns a future of another form than those above; and with `err` if
/// the function returns nothing.
#[doc(alias = "instrument")]
#[doc(alias = "span")]
#[proc_macro_attribute]
pub fn traced(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand::expand(arguments.into(), &item.into()).into()
}

/// Limits what each run of a function may allocate.
///
/// ```text
/// #[budget(allocations <= 12, bytes <= 4096, peak <= 64 KiB)]
/// ```
///
/// - `allocations`: how often memory is obtained, by allocations and reallocations.
/// - `bytes`: bytes allocated in total, including growth by reallocations; memory that is freed
///   meanwhile is not subtracted.
/// - `peak`: how far live bytes may rise above their level at the start.
///
/// At least one limit is required, and each may be given once. A limit is a whole number or an
/// expression of type `u64`, which may use the function's arguments. A number of bytes may have a unit
/// (`B`, `kB`, `MB`, `GB`, `KiB`, `MiB`, `GiB`).
///
/// With `==` in place of `<=`, as in `#[budget(allocations == 14)]`, a run that allocates less breaks the
/// budget too, so it is never wider than needed. It is for functions that do the same in every run: an early
/// `return` may well allocate less. A run that panics, or whose future is dropped before it is ready, may
/// allocate less. The message has the attribute with the new figures. Bytes and peaks may change with the
/// version of the compiler, and are different on other platforms.
///
/// `crate = my_lib::tracer`, before, between or after the limits, is the path to the crate `tracer`,
/// `::tracer` by default. With `#[traced]` on the same function, each attribute needs it.
///
/// # Counting
///
/// The allocations of the function's body on its thread count, including those of functions that it
/// calls. For an `async fn`, or a function whose body ends with `Box::pin(async move { ... })` or `async
/// move { ... }`, those of the future's polls count, on all threads. So the attribute can stand on
/// methods under `#[async_trait]`. The work of other threads and tasks does not count, whether it is in
/// the same trace or not, and neither does that of the tracer itself. Whether a trace is current makes
/// no difference.
///
/// # Checks
///
/// At the end of every run: by the last expression, an early `return`, a `?`, a panic, or because the
/// future is dropped before it is ready.
///
/// # Exceeding it
///
/// If it was compiled with debug assertions, or as a test, the function panics. The message has its name
/// and place, the limits, the figures, the lines that allocated most (feature `sites`), and the tree of calls
/// inside. So a budget fails a test. If the
/// function panics anyway, the message goes to standard error. Allocations of another budget's panic
/// that unwinds through the function do not count. Compiled as a test, it also panics if `Counting` is
/// not the global allocator, since such a budget could never fail.
///
/// If it was compiled otherwise, as in a release, the function's call in the current trace gets a
/// checkpoint, `over budget: allocations 14, at most 12`, or `under budget: allocations 13, exactly 14` if
/// only exact limits were not reached; the call's outcome is unchanged. Without
/// `Counting` nothing happens.
///
/// In both cases `tracer::budget::exceeded()` counts it. `tracer::budget::on_exceeded` chooses between
/// the two for the whole process.
///
/// # With `#[traced]`
///
/// A function with a budget is traced: by the `#[traced]` before or after this attribute, or else as by
/// a plain `#[traced]`. Cost: that of the call, and about half of that again, with a trace and without.
/// Async functions with a budget may await one another as deep as traced ones.
///
/// # Compile errors
///
/// Those of `#[traced]`, and malformed limits.
#[proc_macro_attribute]
pub fn budget(limits: TokenStream, item: TokenStream) -> TokenStream {
    budget::expand(limits.into(), &item.into()).into()
}
