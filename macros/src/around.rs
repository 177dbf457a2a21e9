//! The code around the body of a function, for both attributes.

use proc_macro2::{Group, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{Attribute, Error, Result};

use crate::function::{Binding, Function, Tail, Used, mentions};

/// Returns the function with another body, and with one more attribute before its own.
pub(crate) fn with_body(
    function: &Function,
    attribute: Option<&Attribute>,
    body: TokenStream,
) -> TokenStream {
    let Function {
        attributes,
        visibility,
        signature,
        inner_attributes,
        ..
    } = function;
    let mut item = quote!(#attribute #(#attributes)* #visibility #signature);
    function.braces.surround(&mut item, |item| {
        item.extend(quote!(#(#inner_attributes)*));
        item.extend(body);
    });
    item
}

/// Rejects a function that returns a future which the attribute can't look into.
pub(crate) fn check_future(attribute: &str, function: &Function) -> Result<()> {
    match function.returned_future() {
        Some(returned) if function.tail().is_none() => Err(Error::new_spanned(
            returned,
            format_args!(
                "`#[{attribute}]` can't look into the future that `{name}` returns: make `{name}` \
                 an `async fn`, or end its body with `Box::pin(async move {{ ... }})` or \
                 `async move {{ ... }}`, and have no `return` before that",
                name = function.name(),
            ),
        )),
        _ => Ok(()),
    }
}

/// Keeps the user's block a block of its own: if its statements came after ours, lints would take items
/// among them for misplaced ones. The empty statement, which only the compiler's parser sees, keeps the
/// braces of a short body from being reported as superfluous.
fn block(function: &Function) -> TokenStream {
    let mut block = TokenStream::new();
    let nothing = quote_spanned!(Span::mixed_site()=> ;);
    function.braces.surround(&mut block, |block| {
        block.extend([nothing, function.body.clone()]);
    });
    block
}

/// Returns the body in place, after a guard that is dropped after everything in the body. Before edition
/// 2024, temporaries of a block's last expression outlive the block, but not a match's arm.
pub(crate) fn guarded(guard: &TokenStream, function: &Function) -> TokenStream {
    let block = block(function);
    quote_spanned!(Span::mixed_site()=> #guard match () { () => #block })
}

/// Returns the body as a closure that owns the arguments, with the user's braces and spans, so that
/// lints see the function's body.
pub(crate) fn closure(function: &mut Function, attribute: &TokenStream) -> TokenStream {
    let returns = function.return_type();
    let theirs = function.braces.span.open();
    let returns = returns.map(|returned| quote_spanned!(theirs=> -> #returned));
    let captures = captures(function, attribute);
    let block = block(function);
    let mut closure = quote_spanned!(theirs=> move || #returns);
    function
        .braces
        .surround(&mut closure, |it| it.extend([captures, block]));
    closure
}

/// Returns the body of an `async fn` as a future that owns the arguments, with the user's braces and
/// spans.
pub(crate) fn future(function: &mut Function, attribute: &TokenStream) -> TokenStream {
    let hint = return_hint(function).unwrap_or_default();
    let captures = captures(function, attribute);
    let block = block(function);
    let mut future = quote_spanned!(function.braces.span.open()=> async move);
    function
        .braces
        .surround(&mut future, |it| it.extend([captures, hint, block]));
    future
}

/// Returns the future at the end of a function. Arguments that only the attribute mentions are dropped
/// inside it, too.
pub(crate) fn future_at_end(
    function: &Function,
    tail: &Tail,
    attribute: &TokenStream,
) -> TokenStream {
    let Tail {
        keywords, block, ..
    } = tail;
    let arguments = function.bindings(attribute);
    let mentioned = arguments.iter().filter(|it| {
        let word = it.name.to_string();
        mentions(attribute.clone(), &word) && !mentions(block.stream(), &word)
    });
    let captures: TokenStream = mentioned.map(borrow).collect();
    if captures.is_empty() {
        quote!(#keywords #block)
    } else {
        quote_spanned!(Span::mixed_site()=> #keywords { #captures #block })
    }
}

/// Returns the body with another future at its end.
pub(crate) fn with_future_at_end(tail: &Tail, statements: &TokenStream) -> TokenStream {
    let future = quote_spanned!(Span::mixed_site()=> async move { #statements });
    let future = match &tail.parentheses {
        Some(parentheses) => {
            let mut group = Group::new(parentheses.delimiter(), future);
            group.set_span(parentheses.span());
            quote!(#group)
        }
        None => future,
    };
    let before = &tail.before;
    quote!(#before #future)
}

/// Moves the arguments into the block around the body, whole and in an order of our choice: a block or
/// closure drops its captures in the order in which they are first mentioned.
fn captures(function: &mut Function, attribute: &TokenStream) -> TokenStream {
    let bindings = function.bindings(attribute);
    let captures = bindings.iter().map(|binding| match binding.used {
        Used::ByBody => {
            // Captured nevertheless, and not seen by lints: if it were borrowed, they would take the
            // variable for one whose every value is read.
            let borrow = borrow(binding);
            quote_spanned! {Span::mixed_site()=>
                '__captured: {
                    break '__captured;
                    #[allow(unreachable_code)]
                    { #borrow }
                }
            }
        }
        Used::ByAttribute | Used::ForItsDrop => borrow(binding),
        // This variable is unused instead of the argument, and the compiler reports it.
        Used::Nowhere => {
            let attributes = binding.attributes.iter();
            let name = &binding.name;
            quote_spanned!(Span::mixed_site()=> { #(#attributes)* let #name = &#name; })
        }
    });
    let captures = captures.collect();
    function.move_expectations(&bindings);
    captures
}

fn borrow(binding: &Binding) -> TokenStream {
    let conditions = binding.attributes.iter();
    let conditions = conditions.filter(|it| it.path().is_ident("cfg"));
    let name = &binding.name;
    let allow = name
        .to_string()
        .starts_with('_')
        .then(|| quote_spanned!(Span::mixed_site()=> #[allow(clippy::used_underscore_binding)]));
    quote_spanned!(Span::mixed_site()=> #(#conditions)* #allow let _ = &#name;)
}

/// Tells the compiler the type of an async block before it reads the body, as it knows that of a
/// function. The type is inferred from the first `return`, even one that never runs.
fn return_hint(function: &Function) -> Option<TokenStream> {
    let returned = function.return_type()?;
    Some(quote_spanned! {Span::mixed_site()=>
        if let ::core::option::Option::Some(__returned) = ::core::option::Option::None::<#returned> {
            return __returned;
        }
    })
}
