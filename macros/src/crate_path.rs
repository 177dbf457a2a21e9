//! The option `crate = path`: the path by which the user's crate reaches the crate `tracer`.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::parse::ParseStream;
use syn::{Attribute, Error, Ident, Path, Result, Token, parse_quote};

pub(crate) const EXPECTED: &str = "`crate` is the path to the crate `tracer`, without quotes, \
    such as `crate = my_lib::tracer`";

/// The path given to an attribute, or else `::tracer`.
#[derive(Default)]
pub(crate) struct CratePath(Option<Path>);

impl CratePath {
    /// Parses `crate = path` if it comes next. Returns whether it did.
    pub(crate) fn parse_if_next(&mut self, input: ParseStream) -> Result<bool> {
        if !input.peek(Token![crate]) || !input.peek2(Token![=]) || input.peek2(Token![==]) {
            return Ok(false);
        }
        let word: Token![crate] = input.parse()?;
        input.parse::<Token![=]>()?;
        let path = input
            .call(Path::parse_mod_style)
            .map_err(|_| Error::new(word.span, EXPECTED))?;
        if self.0.replace(path).is_some() {
            return Err(Error::new(word.span, "`crate` stands once"));
        }
        Ok(true)
    }

    /// Returns the path as tokens. Those of `::tracer` get the span; the user's keep their own.
    pub(crate) fn tokens(&self, span: Span) -> TokenStream {
        let default = || quote_spanned!(span=> ::tracer);
        self.0.as_ref().map_or_else(default, Path::to_token_stream)
    }

    /// Returns the option as it was written, with a comma; empty if it was not given.
    pub(crate) fn written(&self) -> String {
        let written = |path: &Path| {
            let path = path.to_token_stream().to_string().replace(' ', "");
            format!("crate = {path}, ")
        };
        self.0.as_ref().map_or_else(String::new, written)
    }

    /// Returns `#[traced]` by this path, with these arguments first.
    pub(crate) fn traced(&self, arguments: &TokenStream) -> Attribute {
        let root = self.tokens(Span::call_site());
        let option = self.0.as_ref().map(|path| quote!(crate = #path));
        parse_quote!(#[#root::traced(#arguments #option)])
    }

    /// Returns whether a path leads to this item of the crate, with or without a leading `::`.
    pub(crate) fn leads_to(&self, item: &str, path: &Path) -> bool {
        let text = |tokens: TokenStream| tokens.to_string().trim_start_matches(":: ").to_owned();
        let root = self.tokens(Span::call_site());
        let item = Ident::new(item, Span::call_site());
        text(quote!(#root::#item)) == text(path.to_token_stream())
    }
}
