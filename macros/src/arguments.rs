//! The arguments of `#[traced(...)]`.

use proc_macro2::{Group, Span, TokenStream};
use quote::quote;
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser as _};
use syn::{Error, Expr, Ident, LitStr, Result, Token, braced, parenthesized, token};

use crate::crate_path::{self, CratePath};

mod keyword {
    syn::custom_keyword!(__budget);
}

const ANYTHING: &str = "`err`, a format string such as \"{id}\", or a label such as `rows = count`";
const ERR_OR_LABEL: &str = "`err`, or a label such as `rows = count`";
const LABEL: &str = "a label such as `rows = count`";
const ERR: &str = "expected `err`, `err(Debug)` or `err(Display)`";

/// Options of `#[instrument]` that take a value. Here each would silently become a label.
const ELSEWHERE: [&str; 4] = ["level", "target", "parent", "follows_from"];

/// The arguments of `#[traced]`.
#[derive(Default)]
pub(crate) struct Arguments {
    /// The budgets of a future, written before all else by `#[budget]`.
    pub(crate) budgets: Vec<Budget>,
    pub(crate) crate_path: CratePath,
    pub(crate) err: Option<Err>,
    /// The call's name, if it is not the function's.
    pub(crate) name: Option<LitStr>,
    /// Id and labels for `call!`: the user's own tokens, so that an error in them is shown there.
    pub(crate) call: TokenStream,
}

/// A budget, as `#[budget]` passes it on.
pub(crate) struct Budget {
    /// The limits that may use the function's arguments.
    pub(crate) limits: TokenStream,
    /// The site of the budget, as an expression.
    pub(crate) site: TokenStream,
}

/// `err` or `err(Debug)`.
pub(crate) struct Err {
    /// Where it was written.
    pub(crate) span: Span,
    /// Whether the message is the error's `Debug`, not its `Display`.
    pub(crate) is_debug: bool,
}

/// How far the id and the labels have been parsed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Nothing,
    /// The format string, and maybe some of its arguments.
    Id,
    Labels,
}

impl Arguments {
    /// Parses the arguments for a function. `binds_err`: one of its arguments is called `err`, so that
    /// `err` may be an argument of the format string.
    pub(crate) fn parse(binds_err: bool, input: ParseStream) -> Result<Self> {
        let mut arguments = Self {
            budgets: parse_budgets(input)?,
            ..Self::default()
        };
        let mut call = Vec::new();
        let mut stage = Stage::Nothing;
        while !input.is_empty() {
            if peek_label(input) {
                if !arguments.parse_option(input)? {
                    call.push(parse_label(input)?);
                    stage = Stage::Labels;
                }
            } else if peek_err(input, stage, binds_err) {
                arguments.parse_err(input)?;
            } else if stage == Stage::Nothing && input.peek(LitStr) {
                let format: LitStr = input.parse()?;
                call.push(quote!(#format));
                stage = Stage::Id;
            } else if stage == Stage::Id {
                let argument: Expr = input.parse()?;
                call.push(quote!(#argument));
            } else {
                let expected = match (stage, &arguments.err) {
                    (Stage::Labels, Some(_)) => LABEL,
                    (Stage::Labels, None) => ERR_OR_LABEL,
                    _ => ANYTHING,
                };
                return Err(unexpected(input, expected));
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        arguments.call = quote!(#(#call),*);
        Ok(arguments)
    }

    fn parse_err(&mut self, input: ParseStream) -> Result<()> {
        let word: Ident = input.parse()?;
        if self.err.is_some() {
            return Err(Error::new(word.span(), "`err` stands once"));
        }
        let mut is_debug = false;
        if input.peek(token::Paren) {
            let content;
            parenthesized!(content in input);
            is_debug = parse_format(&content)?;
        }
        self.err = Some(Err {
            span: word.span(),
            is_debug,
        });
        Ok(())
    }

    /// Parses `crate = path` or `name = "..."`. Returns whether there was one.
    fn parse_option(&mut self, input: ParseStream) -> Result<bool> {
        if self.crate_path.parse_if_next(input)? {
            return Ok(true);
        }
        let ahead = input.fork();
        let word = ahead.call(Ident::parse_any)?;
        if ELSEWHERE.iter().any(|it| word == it) {
            let message = format!(
                "`{word}` means nothing to a call: leave it out, or write `r#{word} = ...` for a \
                 label of this name"
            );
            return Err(Error::new(word.span(), message));
        }
        if word != "name" {
            return Ok(false);
        }
        input.call(Ident::parse_any)?;
        input.parse::<Token![=]>()?;
        let name: Option<LitStr> = input.parse().ok();
        let Some(name) = name.filter(|name| !name.value().is_empty()) else {
            return Err(Error::new(
                word.span(),
                "`name` is the call's name, a string literal such as `name = \"load\"`; \
                 write `r#name = ...` for a label of this name",
            ));
        };
        if self.name.replace(name).is_some() {
            return Err(Error::new(word.span(), "`name` stands once"));
        }
        Ok(true)
    }
}

fn parse_budgets(input: ParseStream) -> Result<Vec<Budget>> {
    let mut budgets = Vec::new();
    while input.peek(keyword::__budget) && input.peek2(token::Paren) {
        input.parse::<keyword::__budget>()?;
        let (limits, site);
        parenthesized!(limits in input);
        braced!(site in input);
        budgets.push(Budget {
            limits: limits.parse()?,
            site: site.parse()?,
        });
    }
    Ok(budgets)
}

/// Parses `Debug` or `Display` between the parentheses of `err`. Returns whether it is `Debug`.
fn parse_format(input: ParseStream) -> Result<bool> {
    let ahead = input.fork();
    let word = ahead.call(Ident::parse_any).map(|word| word.to_string());
    let is_debug = match word.as_deref() {
        Ok("Debug") => true,
        Ok("Display") => false,
        _ => return Err(input.error(ERR)),
    };
    input.call(Ident::parse_any)?;
    if input.is_empty() {
        Ok(is_debug)
    } else {
        Err(input.error(ERR))
    }
}

/// Parses one `name = value`. The name may be a keyword, as in `type = kind`.
fn parse_label(input: ParseStream) -> Result<TokenStream> {
    let name = input.call(Ident::parse_any)?;
    let equals: Token![=] = input.parse()?;
    if input.is_empty() {
        let message = format!("expected the value of the label `{name}` behind this");
        return Err(Error::new_spanned(equals, message));
    }
    let value: Expr = input.parse()?;
    Ok(quote!(#name #equals #value))
}

/// Returns whether `err` or `err(...)` comes next and is not an argument of the format string.
fn peek_err(input: ParseStream, stage: Stage, binds_err: bool) -> bool {
    let ahead = input.fork();
    let is_err = ahead.parse::<Ident>().is_ok_and(|word| word == "err");
    if !is_err || stage != Stage::Id {
        return is_err;
    }
    if binds_err {
        return false;
    }
    // An expression may begin with this name too: a call of a function, or a field.
    ahead.is_empty()
        || ahead.peek(Token![,])
        || ahead
            .parse::<Group>()
            .is_ok_and(|group| parse_format.parse2(group.stream()).is_ok())
}

fn peek_label(input: ParseStream) -> bool {
    input.peek(Ident::peek_any) && input.peek2(Token![=]) && !input.peek2(Token![==])
}

/// Returns the error for a token that cannot stand here.
fn unexpected(input: ParseStream, expected: &str) -> Error {
    match input.fork().call(Ident::parse_any) {
        Ok(word) if word == "skip" || word == "skip_all" => input.error(format_args!(
            "`{word}` is not needed: arguments are recorded only if an id or a label names them"
        )),
        Ok(word) if word == "fields" => {
            input.error("labels stand by themselves: `#[traced(rows = count)]`")
        }
        Ok(word) if word == "crate" => input.error(crate_path::EXPECTED),
        Ok(word) => input.error(format_args!("unknown word `{word}`: expected {expected}")),
        Err(_) => input.error(format_args!("expected {expected}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(binds_err: bool, tokens: TokenStream) -> Result<Arguments> {
        (|input: ParseStream| Arguments::parse(binds_err, input)).parse2(tokens)
    }

    /// Returns whether there is an `err`, and the tokens left for `call!`.
    fn parsed(tokens: TokenStream) -> (bool, String) {
        let arguments = parse(false, tokens).unwrap();
        (arguments.err.is_some(), arguments.call.to_string())
    }

    fn name(tokens: TokenStream) -> Option<String> {
        let name = parse(false, tokens).unwrap().name;
        name.map(|name| name.value())
    }

    fn error(tokens: TokenStream) -> String {
        parse(false, tokens).err().unwrap().to_string()
    }

    #[test]
    fn everything_may_be_left_out() {
        assert_eq!(parsed(quote!()), (false, String::new()));
        assert_eq!(parsed(quote!(err)), (true, String::new()));
        assert_eq!(parsed(quote!(err,)), (true, String::new()));
    }

    #[test]
    fn id_and_labels_are_handed_on_as_they_are_written() {
        for tokens in [
            quote!("{id}"),
            quote!("{} {}", user.id, a == b),
            quote!(rows = rows.len()),
            quote!("{id}", rows = { n }, r#type = kind, match = f(1, 2)),
        ] {
            let written = tokens.to_string();
            assert_eq!(parsed(quote!(err, #tokens)), (true, written.clone()));
            assert_eq!(parsed(quote!(#tokens, err)), (true, written.clone()));
            assert_eq!(parsed(quote!(#tokens,)), (false, written.clone()));
            assert_eq!(parsed(tokens), (false, written));
        }
    }

    #[test]
    fn err_stands_anywhere() {
        let written = (true, "\"{} {}\" , a , b , rows = 1 , bytes = 2".to_owned());
        for tokens in [
            quote!(err, "{} {}", a, b, rows = 1, bytes = 2),
            quote!("{} {}", err, a, b, rows = 1, bytes = 2),
            quote!("{} {}", a, err, b, rows = 1, bytes = 2),
            quote!("{} {}", a, b, err(Debug), rows = 1, bytes = 2),
            quote!("{} {}", a, b, rows = 1, err, bytes = 2),
            quote!("{} {}", a, b, rows = 1, bytes = 2, err(Display)),
        ] {
            assert_eq!(parsed(tokens), written);
        }
    }

    #[test]
    fn err_says_what_the_message_is() {
        let is_debug = |tokens| parse(false, tokens).unwrap().err.unwrap().is_debug;
        assert!(!is_debug(quote!(err)));
        assert!(!is_debug(quote!("{id}", err(Display))));
        assert!(is_debug(quote!(err(Debug), "{id}")));
        assert!(is_debug(quote!(rows = 1, err(Debug))));
        for tokens in [quote!(err()), quote!(err(Pretty)), quote!(err(Debug, 1))] {
            assert!(error(tokens).ends_with(ERR));
        }
    }

    #[test]
    fn a_label_or_a_value_may_be_named_err() {
        assert_eq!(parsed(quote!(err = 1)), (false, "err = 1".to_owned()));
        assert_eq!(parsed(quote!(err, err = 1)), (true, "err = 1".to_owned()));
        let arguments = parse(true, quote!("{}", err, rows = 1)).unwrap();
        assert!(arguments.err.is_none());
        assert_eq!(arguments.call.to_string(), "\"{}\" , err , rows = 1");
        let arguments = parse(true, quote!(err, "{}", err, rows = 1, bytes = 2)).unwrap();
        assert!(arguments.err.is_some());
        for tokens in [
            quote!("{}", err.code),
            quote!("{}", err(1)),
            quote!("{}", err + 1),
        ] {
            assert_eq!(parsed(tokens.clone()), (false, tokens.to_string()));
        }
    }

    #[test]
    fn a_name_is_not_a_label() {
        let named = quote!("{id}", name = "load", rows = 1);
        assert_eq!(parsed(named.clone()).1, "\"{id}\" , rows = 1");
        assert_eq!(name(named).as_deref(), Some("load"));
        let first = quote!(name = "load", "{id}", err);
        assert_eq!(parsed(first.clone()), (true, "\"{id}\"".to_owned()));
        assert_eq!(name(first).as_deref(), Some("load"));
        assert_eq!(name(quote!(r#name = user.name)), None);
        assert_eq!(parsed(quote!(r#name = 1)).1, "r#name = 1");
        assert_eq!(error(quote!(name = "a", name = "b")), "`name` stands once");
        for tokens in [
            quote!(name = user.name),
            quote!(name = ""),
            quote!(name =),
            quote!(name = 1),
        ] {
            assert!(error(tokens).starts_with("`name` is the call's name, a string literal"));
        }
    }

    #[test]
    fn the_crate_may_have_another_path() {
        let path = |tokens| {
            let path = parse(false, tokens).unwrap().crate_path;
            path.tokens(Span::call_site()).to_string()
        };
        assert_eq!(path(quote!("{id}", rows = 1)), ":: tracer");
        for tokens in [
            quote!(crate = my_lib::tracer, "{id}", rows = 1, err),
            quote!("{id}", crate = my_lib::tracer, rows = 1, err),
            quote!(err, "{id}", rows = 1, crate = my_lib::tracer),
        ] {
            let written = (true, "\"{id}\" , rows = 1".to_owned());
            assert_eq!(parsed(tokens.clone()), written);
            assert_eq!(path(tokens), "my_lib :: tracer");
        }
        for tokens in [
            quote!(crate),
            quote!(self::tracer),
            quote!(super::super::tracer),
            quote!(::my_lib::tracer),
        ] {
            assert_eq!(path(quote!(crate = #tokens)), tokens.to_string());
        }
        let twice = quote!(crate = a, rows = 1, crate = a);
        assert_eq!(error(twice), "`crate` stands once");
        for tokens in [
            quote!(crate =),
            quote!(crate = "my_lib::tracer"),
            quote!(crate = (tracer)),
            quote!(crate = my_lib::),
            quote!(crate),
            quote!(crate == my_lib),
        ] {
            assert!(error(tokens).starts_with("`crate` is the path to the crate `tracer`"));
        }
        assert_eq!(error(quote!(crate = my_lib::tracer())), "expected `,`");
        assert_eq!(error(quote!(crate = my_lib<A>)), "expected `,`");
    }

    #[test]
    fn words_of_instrument_are_not_labels() {
        for word in ELSEWHERE {
            let word = Ident::new(word, Span::call_site());
            let expected = format!("`{word}` means nothing to a call: leave it out, or ");
            assert!(error(quote!(#word = "debug")).starts_with(&expected));
            let raw = Ident::new_raw(&word.to_string(), Span::call_site());
            let written = format!("r#{word} = 1");
            assert_eq!(parsed(quote!(#raw = 1)), (false, written));
        }
        assert!(error(quote!(skip(all))).starts_with("`skip` is not needed"));
        assert!(error(quote!("{id}", rows = 1, skip_all)).starts_with("`skip_all` is not needed"));
        assert!(error(quote!(fields(rows = 1))).starts_with("labels stand by themselves"));
    }

    #[test]
    fn an_error_names_the_word_and_what_was_expected() {
        let expected = format!("unknown word `ret`: expected {ANYTHING}");
        assert_eq!(error(quote!(ret)), expected);
        let expected = format!("unknown word `id`: expected {ERR_OR_LABEL}");
        assert_eq!(error(quote!("{id}", rows = 1, id)), expected);
        let expected = format!("unknown word `id`: expected {LABEL}");
        assert_eq!(error(quote!(err, rows = 1, id)), expected);
        assert_eq!(error(quote!(1)), format!("expected {ANYTHING}"));
        let expected = format!("expected {ERR_OR_LABEL}");
        assert_eq!(error(quote!(rows = 1, "{id}")), expected);
    }

    #[test]
    fn err_stands_once() {
        for tokens in [
            quote!(err, err),
            quote!(err, rows = 1, err),
            quote!("{id}", err, err(Debug)),
        ] {
            assert_eq!(error(tokens), "`err` stands once");
        }
    }

    #[test]
    fn commas_and_values_are_needed() {
        assert_eq!(error(quote!(err "{id}")), "expected `,`");
        assert_eq!(error(quote!("{id}" rows = 1)), "expected `,`");
        assert_eq!(error(quote!(rows = 1 bytes = 2)), "expected `,`");
        let missing = "expected the value of the label `rows` behind this";
        assert_eq!(error(quote!(rows =)), missing);
    }
}
