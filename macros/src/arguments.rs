//! What stands between the parentheses of `#[traced(...)]`.

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::{Error, Expr, Ident, LitStr, Result, Token, braced, token};

mod keyword {
    syn::custom_keyword!(err);
    syn::custom_keyword!(__budget);
}

const ANYTHING: &str = "`err`, a format string such as \"{id}\", or a label such as `rows = count`";
const ID_OR_LABEL: &str = "a format string such as \"{id}\", or a label such as `rows = count`";
const LABEL: &str = "a label such as `rows = count`";

/// `err` first, then what `call!` takes.
pub(crate) struct Arguments {
    /// The budgets of an `async fn`, written before all else by `#[budget]`.
    pub(crate) budgets: Vec<TokenStream>,
    /// Where `err` was written, if it was.
    pub(crate) err: Option<Span>,
    /// Id and labels for `call!`: the user's own tokens, so that an error in them is shown there.
    pub(crate) call: TokenStream,
}

impl Parse for Arguments {
    fn parse(input: ParseStream) -> Result<Self> {
        let budgets = parse_budgets(input)?;
        let err = parse_err(input)?;
        let mut call = TokenStream::new();
        if input.peek(LitStr) {
            parse_id(input, &mut call)?;
        } else if !input.is_empty() && !peek_label(input) {
            let expected = if err.is_some() { ID_OR_LABEL } else { ANYTHING };
            return Err(unexpected(input, expected));
        }
        while !input.is_empty() {
            parse_label(input, &mut call)?;
        }
        Ok(Self { budgets, err, call })
    }
}

fn parse_budgets(input: ParseStream) -> Result<Vec<TokenStream>> {
    let mut budgets = Vec::new();
    while input.peek(keyword::__budget) && input.peek2(token::Brace) {
        input.parse::<keyword::__budget>()?;
        let budget;
        braced!(budget in input);
        budgets.push(budget.parse()?);
    }
    Ok(budgets)
}

/// `err` and the comma behind it; a label named `err` is left alone.
fn parse_err(input: ParseStream) -> Result<Option<Span>> {
    if !input.peek(keyword::err) || peek_label(input) {
        return Ok(None);
    }
    let err: keyword::err = input.parse()?;
    if !input.is_empty() {
        input.parse::<Token![,]>()?;
    }
    Ok(Some(err.span))
}

/// The format string and its positional arguments.
fn parse_id(input: ParseStream, call: &mut TokenStream) -> Result<()> {
    input.parse::<LitStr>()?.to_tokens(call);
    parse_comma(input, call)?;
    while !input.is_empty() && !peek_label(input) {
        input.parse::<Expr>()?.to_tokens(call);
        parse_comma(input, call)?;
    }
    Ok(())
}

/// One `name = value`. The name may be a keyword, as in `type = kind`.
fn parse_label(input: ParseStream, call: &mut TokenStream) -> Result<()> {
    if !peek_label(input) {
        return Err(unexpected(input, LABEL));
    }
    let name = input.call(Ident::parse_any)?;
    let equals: Token![=] = input.parse()?;
    if input.is_empty() {
        let message = format_args!("expected the value of the label `{name}` behind this");
        return Err(Error::new_spanned(equals, message));
    }
    name.to_tokens(call);
    equals.to_tokens(call);
    input.parse::<Expr>()?.to_tokens(call);
    parse_comma(input, call)
}

/// The comma that must stand between two arguments and may stand behind the last.
fn parse_comma(input: ParseStream, call: &mut TokenStream) -> Result<()> {
    if !input.is_empty() {
        input.parse::<Token![,]>()?.to_tokens(call);
    }
    Ok(())
}

fn peek_label(input: ParseStream) -> bool {
    input.peek(Ident::peek_any) && input.peek2(Token![=]) && !input.peek2(Token![==])
}

/// What to say about a token that cannot stand where it does.
fn unexpected(input: ParseStream, expected: &str) -> Error {
    match input.fork().call(Ident::parse_any) {
        Ok(word) if word == "err" => {
            input.error("`err` stands once, and before everything else: `#[traced(err, ...)]`")
        }
        Ok(word) => input.error(format_args!("unknown word `{word}`: expected {expected}")),
        Err(_) => input.error(format_args!("expected {expected}")),
    }
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    /// Whether there is an `err`, and what is left for `call!`.
    fn parsed(tokens: TokenStream) -> (bool, String) {
        let arguments: Arguments = syn::parse2(tokens).unwrap();
        (arguments.err.is_some(), arguments.call.to_string())
    }

    fn error(tokens: TokenStream) -> String {
        syn::parse2::<Arguments>(tokens).err().unwrap().to_string()
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
            quote!("{id}", rows = { n }, r#type = kind, match = f(1, 2),),
        ] {
            let written = tokens.to_string();
            assert_eq!(parsed(quote!(err, #tokens)), (true, written.clone()));
            assert_eq!(parsed(tokens), (false, written));
        }
    }

    #[test]
    fn a_label_or_an_id_may_be_named_err() {
        assert_eq!(parsed(quote!(err = 1)), (false, "err = 1".to_owned()));
        assert_eq!(
            parsed(quote!("{}", err)),
            (false, "\"{}\" , err".to_owned())
        );
        assert_eq!(parsed(quote!(err, err = 1)), (true, "err = 1".to_owned()));
    }

    #[test]
    fn an_error_names_the_word_and_what_was_expected() {
        let expected = format!("unknown word `skip`: expected {ANYTHING}");
        assert_eq!(error(quote!(skip(all))), expected);
        let expected = format!("unknown word `skip`: expected {ID_OR_LABEL}");
        assert_eq!(error(quote!(err, skip)), expected);
        let expected = format!("unknown word `id`: expected {LABEL}");
        assert_eq!(error(quote!("{id}", rows = 1, id)), expected);
        assert_eq!(error(quote!(1)), format!("expected {ANYTHING}"));
        assert_eq!(error(quote!(rows = 1, "{id}")), format!("expected {LABEL}"));
    }

    #[test]
    fn err_stands_once_and_first() {
        for tokens in [quote!(err, err), quote!(rows = 1, err)] {
            assert!(error(tokens).starts_with("`err` stands once, and before"));
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
