//! What `#[budget]` makes of a function.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::Result;
use syn::parse::Parser as _;

use crate::around::{check_future, future, future_at_end, guarded, with_body, with_future_at_end};
use crate::function::Function;
use crate::limits::Limits;

/// The function with its budget checked, or, after a compile error, as it is.
pub(crate) fn expand(limits: TokenStream, item: &TokenStream) -> TokenStream {
    let given = limits.clone();
    match parse(limits, item.clone()) {
        Ok((limits, function)) => wrap(&given, &limits, function),
        Err(error) => {
            let error = error.into_compile_error();
            quote!(#error #item)
        }
    }
}

fn parse(limits: TokenStream, item: TokenStream) -> Result<(Limits, Function)> {
    let function =
        (|input: syn::parse::ParseStream| Function::parse_for("budget", input)).parse2(item)?;
    check_future("budget", &function)?;
    Ok((syn::parse2(limits)?, function))
}

/// The same item around another body, as a traced function: what ran inside is told by its call, which
/// is around the check, as it has to be there when the budget is checked.
fn wrap(given: &TokenStream, limits: &Limits, mut function: Function) -> TokenStream {
    let traced = (!function.has_attribute("traced")).then(|| quote!(#[::tracer::traced]));
    let body = body(given, limits, &mut function);
    with_body(&function, traced.as_ref(), body)
}

fn body(given: &TokenStream, limits: &Limits, function: &mut Function) -> TokenStream {
    let here = Span::mixed_site();
    let (name, budget) = (function.name(), limits.budget());
    let site = quote_spanned! {here=>
        ::tracer::__private::Site {
            name: #name,
            budget: #budget,
            is_test: ::core::cfg!(test),
            is_debug: ::core::cfg!(debug_assertions),
        }
    };
    // Limits may use arguments, which then move into the future.
    let run = |allow: Option<TokenStream>, future: TokenStream| {
        quote_spanned! {here=>
            let __site = #site;
            #allow
            let __body = #future;
            ::tracer::__private::enter_future(__site, __body).await
        }
    };
    if function.signature.asyncness.is_some() {
        let allow = function
            .may_return_future()
            .then(|| quote_spanned!(here=> #[allow(clippy::async_yields_async)]));
        run(allow, future(function, given))
    } else if let Some(tail) = function.tail() {
        let future = future_at_end(function, &tail, given);
        with_future_at_end(&tail, &run(None, future))
    } else {
        let guard = quote_spanned!(here=> let __budget = ::tracer::__private::enter(#site););
        guarded(&guard, function)
    }
}
