//! The arguments of `#[budget(...)]`.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::{Error, Expr, Ident, LitInt, Result, Token};

use crate::crate_path::CratePath;

const LIMITS: &str = "`allocations`, `bytes` or `peak`";
const UNITS: [(&str, u64); 7] = [
    ("B", 1),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

/// The limits, `name <= most` or `name == exactly` with commas in between, each name once, and an optional
/// `crate = path`.
pub(crate) struct Limits {
    limits: Vec<Limit>,
    pub(crate) crate_path: CratePath,
}

struct Limit {
    kind: Kind,
    is_exact: bool,
    figure: Figure,
}

enum Figure {
    Number(u64),
    Expression(Box<Expr>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Allocations,
    Bytes,
    Peak,
}

impl Parse for Limits {
    fn parse(input: ParseStream) -> Result<Self> {
        let mut limits: Vec<Limit> = Vec::new();
        let mut crate_path = CratePath::default();
        while !input.is_empty() {
            if crate_path.parse_if_next(input)? {
                parse_comma(input)?;
                continue;
            }
            let name: Ident = input
                .parse()
                .map_err(|error| Error::new(error.span(), format!("expected {LIMITS}")))?;
            let kind = match &*name.to_string() {
                "allocations" => Kind::Allocations,
                "bytes" => Kind::Bytes,
                "peak" => Kind::Peak,
                other => {
                    let message = format!("unknown limit `{other}`: expected {LIMITS}");
                    return Err(Error::new(name.span(), message));
                }
            };
            if limits.iter().any(|limit| limit.kind == kind) {
                let message = format!("`{name}` is limited already");
                return Err(Error::new(name.span(), message));
            }
            let is_exact = input.peek(Token![==]);
            if is_exact {
                input.parse::<Token![==]>()?;
            } else if input.peek(Token![<=]) {
                input.parse::<Token![<=]>()?;
            } else {
                let message = format!(
                    "expected `<=` and how much at most, as in `{name} <= 12`, or `==` and how much exactly"
                );
                return Err(input.error(message));
            }
            limits.push(Limit {
                kind,
                is_exact,
                figure: figure(input, kind, is_exact)?,
            });
            parse_comma(input)?;
        }
        if limits.is_empty() {
            return Err(Error::new(
                Span::call_site(),
                "expected a limit, as in `#[budget(allocations <= 12, bytes <= 4096, peak <= 64 KiB)]`",
            ));
        }
        Ok(Self { limits, crate_path })
    }
}

/// Parses the comma between two arguments, or after the last.
fn parse_comma(input: ParseStream) -> Result<()> {
    if !input.is_empty() {
        input.parse::<Token![,]>()?;
    }
    Ok(())
}

/// Parses a number, which may have a unit if it is of bytes, or an expression.
fn figure(input: ParseStream, kind: Kind, is_exact: bool) -> Result<Figure> {
    let is_number = input.peek(LitInt) && {
        let next = input.fork();
        let _ = next.parse::<LitInt>();
        next.is_empty() || next.peek(Token![,]) || next.peek(Ident)
    };
    if !is_number {
        if input.is_empty() || input.peek(Token![,]) {
            let how = if is_exact { "exactly" } else { "at most" };
            return Err(input.error(format!("expected how much {how}")));
        }
        return Ok(Figure::Expression(Box::new(input.parse()?)));
    }
    let number: LitInt = input.parse()?;
    let (unit, span) = match number.suffix() {
        "" | "u64" if input.peek(Ident) => {
            let unit: Ident = input.parse()?;
            (unit.to_string(), unit.span())
        }
        "u64" => (String::new(), number.span()),
        suffix => (suffix.to_owned(), number.span()),
    };
    let factor = match UNITS.iter().find(|(name, _)| *name == unit) {
        _ if unit.is_empty() => 1,
        Some((_, factor)) if kind != Kind::Allocations => *factor,
        _ if kind == Kind::Allocations => {
            let message = format!("unknown unit `{unit}`: allocations are a plain number");
            return Err(Error::new(span, message));
        }
        _ => {
            let units = UNITS.map(|(name, _)| format!("`{name}`")).join(", ");
            let message = format!("unknown unit `{unit}`: expected one of {units}");
            return Err(Error::new(span, message));
        }
    };
    let digits = number.base10_digits();
    let figure = digits.parse::<u64>().ok();
    let figure = figure.and_then(|figure| figure.checked_mul(factor));
    let Some(figure) = figure else {
        let message = format!("expected a number up to {}", u64::MAX);
        return Err(Error::new(number.span(), message));
    };
    Ok(Figure::Number(figure))
}

impl ToTokens for Figure {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        match self {
            Self::Number(figure) => figure.to_tokens(tokens),
            Self::Expression(written) => {
                // An error about its type is shown at the expression.
                let span = written.span();
                tokens.extend(quote_spanned! {span=>
                    { let figure: ::core::primitive::u64 = #written; figure }
                });
            }
        }
    }
}

impl Limits {
    /// Returns the tokens that may use the function's arguments.
    pub(crate) fn expressions(&self) -> TokenStream {
        let expressions = self.limits.iter().filter_map(|limit| match &limit.figure {
            Figure::Number(_) => None,
            Figure::Expression(written) => Some(written),
        });
        quote!(#(#expressions),*)
    }

    /// Returns the budget as an expression.
    pub(crate) fn budget(&self) -> TokenStream {
        let root = self.crate_path.tokens(Span::call_site());
        let mut budget = quote!(#root::alloc::Budget::new());
        for limit in &self.limits {
            let figure = &limit.figure;
            budget.extend(match (limit.kind, limit.is_exact) {
                (Kind::Allocations, false) => quote!(.allocations(#figure)),
                (Kind::Allocations, true) => quote!(.exact_allocations(#figure)),
                (Kind::Bytes, false) => quote!(.bytes(#figure)),
                (Kind::Bytes, true) => quote!(.exact_bytes(#figure)),
                (Kind::Peak, false) => quote!(.peak_bytes(#figure)),
                (Kind::Peak, true) => quote!(.exact_peak_bytes(#figure)),
            });
        }
        budget
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(tokens: TokenStream) -> String {
        let limits: Limits = syn::parse2(tokens).unwrap();
        let text = limits.budget().to_string().replace(' ', "");
        text.strip_prefix("::tracer::alloc::Budget::new()")
            .unwrap()
            .to_owned()
    }

    fn error(tokens: TokenStream) -> String {
        syn::parse2::<Limits>(tokens).err().unwrap().to_string()
    }

    #[test]
    fn numbers_units_and_expressions() {
        assert_eq!(
            budget(quote!(allocations <= 12, bytes <= 4096, peak <= 64 KiB)),
            ".allocations(12u64).bytes(4096u64).peak_bytes(65536u64)"
        );
        assert_eq!(budget(quote!(peak <= 1_000kB,)), ".peak_bytes(1000000u64)");
        assert_eq!(budget(quote!(bytes <= 2u64 GiB)), ".bytes(2147483648u64)");
        assert_eq!(
            budget(quote!(bytes <= 2 * SIZE, allocations <= MOST)),
            ".bytes({letfigure:::core::primitive::u64=2*SIZE;figure})\
             .allocations({letfigure:::core::primitive::u64=MOST;figure})"
        );
    }

    #[test]
    fn limits_may_be_exact() {
        assert_eq!(
            budget(quote!(allocations == 14, bytes == 4 KiB, peak <= 9)),
            ".exact_allocations(14u64).exact_bytes(4096u64).peak_bytes(9u64)"
        );
        assert_eq!(
            budget(quote!(peak == 2 * SIZE)),
            ".exact_peak_bytes({letfigure:::core::primitive::u64=2*SIZE;figure})"
        );
    }

    #[test]
    fn only_expressions_may_use_the_functions_arguments() {
        let limits: Limits =
            syn::parse2(quote!(crate = bytes::tracer, bytes <= 1 KiB, peak <= len * 2)).unwrap();
        assert_eq!(limits.expressions().to_string(), "len * 2");
    }

    #[test]
    fn the_crate_may_have_another_path() {
        for tokens in [
            quote!(crate = my_lib::tracer, bytes <= 1),
            quote!(bytes <= 1, crate = my_lib::tracer),
            quote!(bytes <= 1, crate = my_lib::tracer,),
        ] {
            let limits: Limits = syn::parse2(tokens).unwrap();
            let budget = limits.budget().to_string().replace(' ', "");
            assert_eq!(budget, "my_lib::tracer::alloc::Budget::new().bytes(1u64)");
            assert_eq!(limits.crate_path.written(), "crate = my_lib::tracer, ");
        }
        assert!(error(quote!(crate = my_lib::tracer)).starts_with("expected a limit"));
        assert_eq!(error(quote!(crate = my_lib bytes <= 1)), "expected `,`");
        assert_eq!(
            error(quote!(crate = a, bytes <= 1, crate = b)),
            "`crate` stands once"
        );
    }

    #[test]
    fn an_error_says_what_was_expected() {
        assert_eq!(
            error(quote!(size <= 1)),
            format!("unknown limit `size`: expected {LIMITS}")
        );
        assert_eq!(error(quote!(1)), format!("expected {LIMITS}"));
        let expected =
            "expected `<=` and how much at most, as in `bytes <= 12`, or `==` and how much exactly";
        for tokens in [
            quote!(bytes),
            quote!(bytes < 1),
            quote!(bytes = 1),
            quote!(bytes >= 1),
        ] {
            assert!(error(tokens).ends_with(expected));
        }
        assert!(error(quote!(bytes <= )).ends_with("expected how much at most"));
        assert!(error(quote!(bytes == )).ends_with("expected how much exactly"));
        for twice in [
            quote!(bytes <= 1, bytes <= 2),
            quote!(bytes <= 1, bytes == 2),
        ] {
            assert_eq!(error(twice), "`bytes` is limited already");
        }
        let units = "expected one of `B`, `kB`, `MB`, `GB`, `KiB`, `MiB`, `GiB`";
        assert_eq!(
            error(quote!(bytes <= 1 Kib)),
            format!("unknown unit `Kib`: {units}")
        );
        assert_eq!(
            error(quote!(bytes <= 1i32)),
            format!("unknown unit `i32`: {units}")
        );
        let plain = "unknown unit `KiB`: allocations are a plain number";
        assert_eq!(error(quote!(allocations <= 1 KiB)), plain);
        let most = format!("expected a number up to {}", u64::MAX);
        assert_eq!(error(quote!(bytes <= 99999999999999999999)), most);
        assert_eq!(error(quote!(bytes <= 99999999999 GiB)), most);
        assert_eq!(error(quote!(bytes <= 1 KiB peak <= 2)), "expected `,`");
        assert!(error(quote!()).starts_with("expected a limit, as in `#[budget("));
    }
}
