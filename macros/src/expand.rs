//! What `#[traced]` makes of a function.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{Error, Result, parse_quote};

use crate::arguments::Arguments;
use crate::budget::is;
use crate::function::Function;

/// The function as a call, or, after a compile error, as it is, so that one mistake is one error.
pub(crate) fn expand(arguments: TokenStream, item: &TokenStream) -> TokenStream {
    let given = arguments.clone();
    match parse(arguments, item.clone()) {
        Ok((_, function)) if function.attributes.iter().any(|it| is(it, "budget")) => {
            behind_budget(&given, function)
        }
        Ok((arguments, function)) => wrap(&arguments, &function),
        Err(error) => {
            let error = error.into_compile_error();
            quote!(#error #item)
        }
    }
}

fn parse(arguments: TokenStream, item: TokenStream) -> Result<(Arguments, Function)> {
    let function: Function = syn::parse2(item)?;
    let arguments: Arguments = syn::parse2(arguments)?;
    match arguments.err {
        Some(err) if function.returns_nothing() => Err(Error::new(
            err,
            format_args!(
                "`err` needs a function that returns a `Result`, and `{}` does not",
                function.name(),
            ),
        )),
        Some(err) if function.returns_future() => Err(Error::new(
            err,
            format_args!(
                "`err` needs a function that returns a `Result`, and `{}` returns a future: \
                 make it an `async fn`, or trace an `async fn` that it calls",
                function.name(),
            ),
        )),
        _ => Ok((arguments, function)),
    }
}

/// A budget is checked within the call, so it is for that attribute to be first.
fn behind_budget(arguments: &TokenStream, mut function: Function) -> TokenStream {
    function
        .attributes
        .push(parse_quote!(#[::tracer::traced(#arguments)]));
    let Function {
        attributes,
        visibility,
        signature,
        inner_attributes,
        body,
        ..
    } = &function;
    let mut item = quote!(#(#attributes)* #visibility #signature);
    function.braces.surround(&mut item, |item| {
        item.extend(quote!(#(#inner_attributes)* #body));
    });
    item
}

/// The same item around another body.
fn wrap(arguments: &Arguments, function: &Function) -> TokenStream {
    let Function {
        attributes,
        visibility,
        signature,
        inner_attributes,
        ..
    } = function;
    let mut item = quote!(#(#attributes)* #visibility #signature);
    function.braces.surround(&mut item, |item| {
        item.extend(quote!(#(#inner_attributes)*));
        item.extend(body(arguments, function));
    });
    item
}

/// All that is written here has the hygiene of `mixed_site`: its names cannot meet the user's, and
/// lints take it for what it is, foreign code.
fn body(arguments: &Arguments, function: &Function) -> TokenStream {
    // An error that is no `Display`, or no error at all, is shown at the word that asks for it.
    let here = match arguments.err {
        Some(err) => err.resolved_at(Span::mixed_site()),
        None => Span::mixed_site(),
    };
    let name = function.name();
    let call = &arguments.call;
    let open = quote_spanned!(here=> let __call = ::tracer::__named_call!(#name; #call););

    // The user's block stays a block of its own: were its statements behind ours, items among them
    // would be taken for misplaced ones. The empty statement, which is gone before anything but
    // the compiler's parser sees it, keeps the braces of a short body from being called superfluous.
    let mut block = TokenStream::new();
    let nothing = quote_spanned!(here=> ;);
    function.braces.surround(&mut block, |block| {
        block.extend([nothing, function.body.clone()]);
    });

    if function.signature.asyncness.is_some() {
        let traced = if arguments.err.is_some() {
            quote_spanned!(here=> traced_err)
        } else {
            quote_spanned!(here=> traced)
        };
        let captures = captures(function);
        let hint = return_hint(function);
        // An `async fn` may return a future; of a block, the lint takes that for a mistake.
        let allow = (arguments.err.is_none() && !function.returns_nothing())
            .then(|| quote_spanned!(here=> #[allow(clippy::async_yields_async)]));
        quote_spanned! {here=>
            #open
            #allow
            let __body = async move { #captures #hint #block };
            ::tracer::__private::#traced(__call, __body).await
        }
    } else if arguments.err.is_some() {
        // Handed to a function, not called on the spot: only then does the compiler take the
        // closure for one that runs once, which may return what it borrows from `&mut self`.
        let captures = captures(function);
        let returns = function.return_type();
        let returns = returns.map(|returned| quote_spanned!(here=> -> #returned));
        quote_spanned! {here=>
            #open
            ::tracer::__private::run_err(__call, move || #returns { #captures #block })
        }
    } else {
        quote_spanned!(here=> #open #block)
    }
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
