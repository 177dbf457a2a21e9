//! The attributes `#[traced]` and `#[budget]` of the crate `tracer`.
//!
//! Depend on `tracer`, which re-exports them: what they expand to names that crate.

#![forbid(unsafe_code)]

mod function;

mod around;

mod arguments;
mod expand;

mod limits;

mod budget;

use proc_macro::TokenStream;

/// Makes each run of a function a call of the current trace, named after the function.
///
/// The call starts before the function's body and stops after it: by its last expression, an early
/// `return`, a `?` or a panic alike. Where no trace is current the function runs as it is written,
/// and no id and no label is formatted.
///
/// # Arguments
///
/// All of them may be left out, and stand in this order:
///
/// 1. `err`: when the function returns an `Err`, the call's outcome is *failed*, with the error's
///    `Display` as its message. The function must return a `Result` whose error is `Display`.
/// 2. A format string and its arguments, as in `"{id}"` or `"{}", user.id`: the call's id.
/// 3. Labels, each as `name = value`.
///
/// The last two are what the macro `call!` takes. They may use the function's arguments and `self`,
/// and are evaluated before the body.
///
/// # Async functions
///
/// The call of an `async fn` is open only while the future is polled, so its allocations and busy
/// time are its own, whatever its task's thread does in between. A future dropped before it is ready
/// leaves a call that is *cancelled*. The arguments move into the call and are dropped in it, in
/// their usual order.
///
/// A function that is not `async` itself but returns a future (`impl Future`,
/// `Pin<Box<dyn Future>>`, and so what `#[async_trait]` makes of a method) is traced as any other
/// function: the call lasts until the future is returned, not until it is ready. Make it an
/// `async fn`, or wrap the future that it returns in `call.instrument(future)`. With
/// `#[async_trait]`, put `#[traced]` on an `async fn` that the method calls.
///
/// # What stays as it was
///
/// The signature, with its visibility, generics, lifetimes, `impl Trait`, patterns, `unsafe` and
/// `extern`; all other attributes; and the order in which locals and arguments are dropped. With
/// `err`, or on an `async fn`, there are two exceptions, because the body becomes a block that owns
/// the arguments: an argument bound to `_`, or what a pattern leaves behind of one, is dropped after
/// all others; and under `#[track_caller]`, `err` makes a panic name this function, not its caller.
///
/// # Compile errors
///
/// On anything but a function with a body; on a `const fn`, which can read no clock; and on `err`
/// where the function returns nothing, or a future.
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
/// - `allocations`: requests that obtain memory, allocations and reallocations.
/// - `bytes`: bytes allocated in all, growth by reallocations included; what is freed in between is
///   not taken off.
/// - `peak`: how far live bytes may rise above where they were at the start.
///
/// At least one of them, each once. A limit is a whole number, of bytes with a unit behind it if
/// that is wanted (`B`, `kB`, `MB`, `GB`, `KiB`, `MiB`, `GiB`), or an expression of type `u64`, which may
/// use the function's arguments.
///
/// # What is counted
///
/// What the function's body allocates on its thread, functions that it calls included; of an
/// `async fn`, what it does while it is polled, on whichever threads. Not what it hands to other
/// threads and tasks, be they of the same trace or not; and nothing of the tracer's own. That does not
/// depend on whether a trace is current.
///
/// # When it is checked
///
/// At the end of every run: by the last expression, an early `return`, a `?`, a panic, or because the
/// future is dropped before it is ready.
///
/// # What follows
///
/// Where it was compiled with debug assertions, or as a test, the function panics: with its name and
/// place, what was allowed, what happened, and the tree of what ran inside. So a budget fails a test.
/// Where the function panics anyway, the same is told on standard error; what the panic of another
/// budget allocates, which comes through it, is not held against it. Compiled as a test, it panics too
/// where `Counting` is not the global allocator: a budget that can't fail is no test.
///
/// Where it was compiled otherwise, as in a release, the function's call in the current trace gets a
/// checkpoint, `over budget: allocations 14, at most 12`; the call's outcome stays as it is. Without
/// `Counting` nothing follows.
///
/// Either way `tracer::budget::exceeded()` counts. `tracer::budget::on_exceeded` chooses for the
/// whole process which of the two it is.
///
/// # With `#[traced]`
///
/// A function with a budget is a traced one: with `#[traced]` beside it, before or behind, as that
/// says; without, as with a plain `#[traced]`. Cost: that of the call, and about half
/// of one more, with a trace and without.
///
/// # Compile errors
///
/// As `#[traced]`; and on limits that are none.
#[proc_macro_attribute]
pub fn budget(limits: TokenStream, item: TokenStream) -> TokenStream {
    budget::expand(limits.into(), &item.into()).into()
}
