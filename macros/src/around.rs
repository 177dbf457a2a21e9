//! What goes around the body of a function, whichever the attribute.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};

use crate::function::Function;

/// The same item around another body, with an attribute more before its own.
pub(crate) fn with_body(
    function: &Function,
    attribute: Option<&TokenStream>,
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

/// The user's block stays a block of its own: were its statements behind ours, items among them
/// would be taken for misplaced ones. The empty statement, which is gone before anything but
/// the compiler's parser sees it, keeps the braces of a short body from being called superfluous.
pub(crate) fn block(function: &Function) -> TokenStream {
    let mut block = TokenStream::new();
    let nothing = quote_spanned!(Span::mixed_site()=> ;);
    function.braces.surround(&mut block, |block| {
        block.extend([nothing, function.body.clone()]);
    });
    block
}

/// Moves the arguments into the block around the body, whole and in an order of our choice: what a
/// block or closure captures is dropped in the order in which it is first mentioned there.
pub(crate) fn captures(function: &Function) -> TokenStream {
    function
        .bindings()
        .iter()
        .map(|binding| {
            let conditions = &binding.conditions;
            let name = &binding.name;
            let allow = name.to_string().starts_with('_').then(
                || quote_spanned!(Span::mixed_site()=> #[allow(clippy::used_underscore_binding)]),
            );
            quote_spanned!(Span::mixed_site()=> #(#conditions)* #allow let _ = &#name;)
        })
        .collect()
}

/// Tells the compiler the type of an async block before it reads the body, as it knows that of a
/// function: the type is inferred from the first `return`, be it one that never runs.
pub(crate) fn return_hint(function: &Function) -> Option<TokenStream> {
    let returned = function.return_type()?;
    Some(quote_spanned! {Span::mixed_site()=>
        if let ::core::option::Option::Some(__returned) = ::core::option::Option::None::<#returned> {
            return __returned;
        }
    })
}
