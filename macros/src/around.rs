//! What goes around the body of a function, whichever the attribute.

use proc_macro2::{Group, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{Attribute, Error, Result};

use crate::function::{Binding, Function, Tail, Used, mentions};

/// The same item around another body, with an attribute more before its own.
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

/// Refuses a function that returns a future which the attribute can't look into.
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

/// The user's block stays a block of its own: were its statements behind ours, items among them
/// would be taken for misplaced ones. The empty statement, which is gone before anything but
/// the compiler's parser sees it, keeps the braces of a short body from being called superfluous.
fn block(function: &Function) -> TokenStream {
    let mut block = TokenStream::new();
    let nothing = quote_spanned!(Span::mixed_site()=> ;);
    function.braces.surround(&mut block, |block| {
        block.extend([nothing, function.body.clone()]);
    });
    block
}

/// The body where it stands, behind a guard that is dropped after everything of the body: before
/// edition 2024, temporaries of a block's last expression outlive the block, but not a match's arm.
pub(crate) fn guarded(guard: &TokenStream, function: &Function) -> TokenStream {
    let block = block(function);
    quote_spanned!(Span::mixed_site()=> #guard match () { () => #block })
}

/// The body as a closure that owns the arguments. The user's own braces and spans: to lints it is
/// what the function was.
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

/// The body of an `async fn` as a future that owns the arguments, with the user's braces and spans.
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

/// The future that a function returns. What the attribute mentions is dropped inside too.
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

/// The body again, with another future in place of that at its end.
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

/// Moves the arguments into the block around the body, whole and in an order of our choice: what a
/// block or closure captures is dropped in the order in which it is first mentioned there.
fn captures(function: &mut Function, attribute: &TokenStream) -> TokenStream {
    let bindings = function.bindings(attribute);
    let captures = bindings.iter().map(|binding| match binding.used {
        Used::ByBody => {
            // Captured all the same, and unseen by lints: borrowed, a variable would be taken for
            // one whose every value is read.
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
        // In place of the argument it is this variable that nobody uses, as the user is told.
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
/// function: the type is inferred from the first `return`, be it one that never runs.
fn return_hint(function: &Function) -> Option<TokenStream> {
    let returned = function.return_type()?;
    Some(quote_spanned! {Span::mixed_site()=>
        if let ::core::option::Option::Some(__returned) = ::core::option::Option::None::<#returned> {
            return __returned;
        }
    })
}
