//! The expansion of `#[traced]`.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::parse::{ParseStream, Parser as _};
use syn::{Error, Result, parse_quote};

use crate::arguments::Arguments;
use crate::around::{
    check_future, closure, future, future_at_end, guarded, with_body, with_future_at_end,
};
use crate::function::Function;

/// Returns the function as a call or, after a compile error, the function unchanged, so that one mistake
/// is one error.
pub(crate) fn expand(arguments: TokenStream, item: &TokenStream) -> TokenStream {
    let given = arguments.clone();
    match parse(arguments, item.clone()) {
        Ok((arguments, function)) if function.has_attribute("budget") => {
            behind_budget(&given, &arguments, function)
        }
        Ok((arguments, mut function)) => {
            let body = body(&arguments, &mut function);
            with_body(&function, None, body)
        }
        Err(error) => {
            let error = error.into_compile_error();
            quote!(#error #item)
        }
    }
}

fn parse(arguments: TokenStream, item: TokenStream) -> Result<(Arguments, Function)> {
    let function: Function = syn::parse2(item)?;
    let binds_err = function.binds("err");
    let arguments = (|input: ParseStream| Arguments::parse(binds_err, input)).parse2(arguments)?;
    check_future("traced", &function)?;
    match &arguments.err {
        Some(err) if function.returns_nothing() => Err(Error::new(
            err.span,
            format_args!(
                "`err` needs a function that returns a `Result`, and `{}` does not",
                function.name(),
            ),
        )),
        _ => Ok((arguments, function)),
    }
}

/// Puts `#[traced]` after `#[budget]`, which must come first, since a budget is checked inside the call.
fn behind_budget(
    given: &TokenStream,
    arguments: &Arguments,
    mut function: Function,
) -> TokenStream {
    let root = arguments.crate_path.tokens(Span::call_site());
    let traced = parse_quote!(#[#root::traced(#given)]);
    function.attributes.push(traced);
    with_body(&function, None, function.body.clone())
}

/// Returns the body with its call. All code made here has the hygiene of `mixed_site`: its names cannot
/// collide with the user's, and lints treat it as foreign code.
fn body(arguments: &Arguments, function: &mut Function) -> TokenStream {
    // An error type that is not `Display`, or a return type that is no `Result`, is reported at the word
    // that asks for it.
    let here = match &arguments.err {
        Some(err) => err.span.resolved_at(Span::mixed_site()),
        None => Span::mixed_site(),
    };
    let name = match &arguments.name {
        Some(name) => name.value(),
        None => function.name(),
    };
    let root = arguments.crate_path.tokens(here);
    let call = &arguments.call;
    let open = quote_spanned!(here=> let __call = #root::__named_call!(#name; #call););
    let look = match &arguments.err {
        None => "",
        Some(err) if err.is_debug => "_err_debug",
        Some(_) => "_err",
    };
    let traced = Ident::new(&format!("traced{look}"), here);
    // Variables, so that their types are not nested: see `hold` of the crate `tracer`.
    let sites = arguments.budgets.iter().map(|budget| &budget.site);
    let runs: Vec<_> = (0..sites.len())
        .map(|index| format_ident!("__running_{index}", span = here))
        .collect();
    let run = |allow: Option<TokenStream>, future: TokenStream| {
        quote_spanned! {here=>
            #open
            let mut __held = #root::__private::hold(__call);
            #(let mut #runs = #root::__private::run_future(#sites);)*
            #allow
            let __body = #future;
            let __body = ::core::pin::pin!(__body);
            #(let __body = #root::__private::in_budget(&mut #runs, __body);)*
            #root::__private::#traced(&mut __held, __body).await
        }
    };
    // All tokens that may use arguments before the body does.
    let limits = arguments.budgets.iter().map(|budget| &budget.limits);
    let attribute = quote!(#call #(#limits)*);
    if function.signature.asyncness.is_some() {
        // An `async fn` may return a future; for a block, the lint reports that as a mistake.
        let allow = (arguments.err.is_none() && function.may_return_future())
            .then(|| quote_spanned!(here=> #[allow(clippy::async_yields_async)]));
        run(allow, future(function, &attribute))
    } else if let Some(tail) = function.tail() {
        let future = future_at_end(function, &tail, &attribute);
        with_future_at_end(&tail, &run(None, future))
    } else if arguments.err.is_some() {
        // Passed to a function, not called in place: only then does the compiler infer a closure that
        // runs once, which may return what it borrows from `&mut self`.
        let run = Ident::new(&format!("run{look}"), here);
        let closure = closure(function, &attribute);
        quote_spanned! {here=>
            #open
            #root::__private::#run(
                __call,
                #[allow(clippy::result_large_err)]
                #closure
            )
        }
    } else {
        guarded(&open, function)
    }
}
