//! The attributes `#[traced]` and `#[budget]` of the crate `tracer`.
//!
//! Depend on `tracer`, which re-exports them: what they expand to names that crate, as `::tracer` or by
//! the path in `crate = path`.

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
/// The call starts before the function's body and stops after it: by its last expression, an early
/// `return`, a `?` or a panic alike. Where no trace is current the function runs as it is written,
/// and no id and no label is formatted.
///
/// # Arguments
///
/// All of them may be left out.
///
/// - `err`: if the function returns an `Err`, the call's outcome is *failed*, with the error's
///   `Display` as its message. The function must return a `Result` whose error is `Display`; with
///   `err(Debug)` its message is the error's `Debug`, which then is all that it needs. Stands
///   anywhere. An argument of the function that is called `err` can be an argument of the format
///   string; the word then stands before that string or behind a label.
/// - A format string and its arguments, as in `"{id}"` or `"{}", user.id`: the call's id.
/// - Labels behind it, each as `name = value`.
/// - `name = "load"`: the call's name, instead of the function's. A string literal; stands anywhere.
/// - `crate = my_lib::tracer`: the path to the crate `tracer`, `::tracer` by default. For crates that
///   depend on it only through another crate, which re-exports it. Stands anywhere.
///
/// Id and labels are what the macro `call!` takes. They may use the function's arguments and `self`,
/// and are evaluated before the body. `level`, `target`, `parent` and `follows_from`, which
/// `#[instrument]` of `tracing` knows, are refused: a call has no level and no target, and its
/// parent is the call that is open. For a label of such a name, or one called `name`, write
/// `r#level = value`. No label can be called `crate`.
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
/// A function that is not `async` itself is traced in the same way if its body ends with
/// `Box::pin(async move { ... })` or `async move { ... }`. That is what `#[async_trait]` makes of
/// a method, so `#[traced]` can stand on methods in its traits and implementations. Id and labels
/// are evaluated at the first poll. Statements before the future, which run when the function is
/// called, are not in the call. Any other function that says that it returns a future (`impl
/// Future`, `Pin<Box<dyn Future>>`, `BoxFuture`, `Self::Future`) is refused, because its call would
/// see only how the future is made.
///
/// # What stays as it was
///
/// The signature, with its visibility, generics, lifetimes, `impl Trait`, patterns, `unsafe` and
/// `extern`; all other attributes; and, in every edition, the order in which temporaries, locals and
/// arguments are dropped. Temporaries and locals are dropped in the call. Arguments are dropped
/// after it, unless the body has moved them; with `err`, or on an `async fn`, the body becomes a
/// block that owns them, and they are dropped in the call. There are two exceptions then: an
/// argument bound to `_`, or what a pattern leaves behind of one, is dropped after all others, and
/// after the call; and under `#[track_caller]`, `err` makes a panic name this function, not its
/// caller.
///
/// Lints of the compiler and of Clippy say what they say without the attribute, but for these:
/// `needless_question_mark` does not see the end of a function that is neither `async` nor has
/// `err`; `needless_pass_by_value` does not see what becomes of arguments in one with `err`, which
/// also allows `result_large_err` on closures inside; and `unused_async` sees an `.await`.
///
/// # Compile errors
///
/// On anything but a function with a body; on a `const fn`, which can read no clock; on a function
/// that returns a future that can't be seen; and on `err` if the function returns nothing.
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
/// - `allocations`: requests that obtain memory, allocations and reallocations.
/// - `bytes`: bytes allocated in all, growth by reallocations included; what is freed in between is
///   not taken off.
/// - `peak`: how far live bytes may rise above where they were at the start.
///
/// At least one of them, each once. A limit is a whole number, of bytes with a unit behind it if
/// that is wanted (`B`, `kB`, `MB`, `GB`, `KiB`, `MiB`, `GiB`), or an expression of type `u64`, which may
/// use the function's arguments.
///
/// `crate = my_lib::tracer`, before, between or behind the limits, is the path to the crate `tracer`,
/// `::tracer` by default. With `#[traced]` on the same function, each attribute needs it.
///
/// # What is counted
///
/// What the function's body allocates on its thread, functions that it calls included; of an
/// `async fn`, or a function whose body ends with `Box::pin(async move { ... })` or
/// `async move { ... }`, what the future does while it is polled, on whichever threads. So it can
/// stand on methods under `#[async_trait]`. Not what it hands to other
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
/// of one more, with a trace and without. Async functions with a budget may await one another as deep
/// as traced ones.
///
/// # Compile errors
///
/// As `#[traced]`; and on limits that are none.
#[proc_macro_attribute]
pub fn budget(limits: TokenStream, item: TokenStream) -> TokenStream {
    budget::expand(limits.into(), &item.into()).into()
}
