//! The expansion of `#[budget]`.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::Result;
use syn::parse::Parser as _;

use crate::around::{check_future, guarded, with_body};
use crate::function::Function;
use crate::limits::Limits;

/// Returns the function with a check of its budget or, after a compile error, the function unchanged.
pub(crate) fn expand(limits: TokenStream, item: &TokenStream) -> TokenStream {
    match parse(limits, item.clone()) {
        Ok((limits, function)) => wrap(&limits, function),
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

/// Returns the function as a traced one: its call tells what ran inside. The call is around the check,
/// since it must be there when the budget is checked.
fn wrap(limits: &Limits, mut function: Function) -> TokenStream {
    let site = site(limits, &function);
    if function.signature.asyncness.is_some() || function.tail().is_some() {
        // One future for both, so that the function's type has no further layer.
        let expressions = limits.expressions();
        let budget = quote!(__budget(#expressions) { #site });
        function.give_to_traced(&limits.crate_path, &budget);
        return with_body(&function, None, function.body.clone());
    }
    let traced =
        (!function.has_attribute("traced")).then(|| limits.crate_path.traced(&TokenStream::new()));
    let root = limits.crate_path.tokens(Span::mixed_site());
    let guard = quote_spanned! {Span::mixed_site()=>
        let __budget = #root::__private::enter(#site);
    };
    let body = guarded(&guard, &function);
    with_body(&function, traced.as_ref(), body)
}

fn site(limits: &Limits, function: &Function) -> TokenStream {
    let (name, budget) = (function.name(), limits.budget());
    let root = limits.crate_path.tokens(Span::mixed_site());
    let arguments = limits.crate_path.written();
    quote_spanned! {Span::mixed_site()=>
        #root::__private::Site {
            about: &#root::__private::About { name: #name, arguments: #arguments },
            budget: #budget,
            is_test: ::core::cfg!(test),
            is_debug: ::core::cfg!(debug_assertions),
            raise: |text| ::std::panic::panic_any(text),
        }
    }
}
