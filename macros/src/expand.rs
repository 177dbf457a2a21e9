//! What `#[traced]` makes of a function.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{Error, Result, parse_quote};

use crate::arguments::Arguments;
use crate::around::{block, captures, return_hint, with_body};
use crate::function::Function;

/// The function as a call, or, after a compile error, as it is, so that one mistake is one error.
pub(crate) fn expand(arguments: TokenStream, item: &TokenStream) -> TokenStream {
    let given = arguments.clone();
    match parse(arguments, item.clone()) {
        Ok((_, function)) if function.has_attribute("budget") => behind_budget(&given, function),
        Ok((arguments, function)) => with_body(&function, None, body(&arguments, &function)),
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
    let traced = parse_quote!(#[::tracer::traced(#arguments)]);
    function.attributes.push(traced);
    with_body(&function, None, function.body.clone())
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

    let block = block(function);
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
        // Variables, so that they are not one in the other: see `tracer::future::hold`.
        let budgets = &arguments.budgets;
        let runs: Vec<_> = (0..budgets.len())
            .map(|index| format_ident!("__running_{index}", span = here))
            .collect();
        quote_spanned! {here=>
            #open
            let mut __held = ::tracer::__private::hold(__call);
            #(let mut #runs = ::tracer::__private::run_future(#budgets);)*
            #allow
            let __body = async move { #captures #hint #block };
            let __body = ::core::pin::pin!(__body);
            #(let __body = ::tracer::__private::in_budget(&mut #runs, __body);)*
            ::tracer::__private::#traced(&mut __held, __body).await
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
