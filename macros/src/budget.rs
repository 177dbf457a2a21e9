//! What `#[budget]` makes of a function.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::Result;
use syn::parse::Parser as _;

use crate::around::{block, captures, return_hint, with_body};
use crate::function::Function;
use crate::limits::Limits;

/// The function with its budget checked, or, after a compile error, as it is.
pub(crate) fn expand(limits: TokenStream, item: &TokenStream) -> TokenStream {
    match parse(limits, item.clone()) {
        Ok((limits, function)) => wrap(&limits, &function),
        Err(error) => {
            let error = error.into_compile_error();
            quote!(#error #item)
        }
    }
}

fn parse(limits: TokenStream, item: TokenStream) -> Result<(Limits, Function)> {
    let function =
        (|input: syn::parse::ParseStream| Function::parse_for("budget", input)).parse2(item)?;
    Ok((syn::parse2(limits)?, function))
}

/// The same item around another body, as a traced function: what ran inside is told by its call, which
/// is around the check, as it has to be there when the budget is checked.
fn wrap(limits: &Limits, function: &Function) -> TokenStream {
    let traced = (!function.has_attribute("traced")).then(|| quote!(#[::tracer::traced]));
    with_body(function, traced.as_ref(), body(limits, function))
}

fn body(limits: &Limits, function: &Function) -> TokenStream {
    let here = Span::mixed_site();
    let (name, budget) = (function.name(), limits.budget());
    let site = quote_spanned! {here=>
        ::tracer::__private::Site {
            name: #name,
            budget: #budget,
            is_test: ::core::cfg!(test),
            is_debug: ::core::cfg!(debug_assertions),
            raise: |text| ::std::panic::panic_any(text),
        }
    };
    let block = block(function);
    if function.signature.asyncness.is_some() {
        let captures = captures(function);
        let hint = return_hint(function);
        let allow = (!function.returns_nothing())
            .then(|| quote_spanned!(here=> #[allow(clippy::async_yields_async)]));
        quote_spanned! {here=>
            #allow
            let __body = async move { #captures #hint #block };
            ::tracer::__private::enter_future(#site, __body).await
        }
    } else {
        quote_spanned! {here=>
            let __budget = ::tracer::__private::enter(#site);
            #block
        }
    }
}
