//! The attribute `#[traced]` of the crate `tracer`.
//!
//! Depend on `tracer`, which re-exports it: what the attribute expands to names that crate.

mod arguments;
mod expand;
mod function;

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
