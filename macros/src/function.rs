//! The function that `#[traced]` stands on.

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::{
    Attribute, Error, FnArg, GenericArgument, LitStr, Meta, Pat, PathArguments, Result, ReturnType,
    Signature, Token, Type, Visibility, braced, token,
};

/// A function whose body is left as it is written.
///
/// The body is never parsed: that saves its time, keeps syntax that syn does not know yet, and lets
/// an editor complete code in a body that is not finished.
pub(crate) struct Function {
    /// Those before the function.
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) visibility: Visibility,
    pub(crate) signature: Signature,
    pub(crate) braces: token::Brace,
    /// Those that stand first within the braces, as in `#![allow(...)]`.
    pub(crate) inner_attributes: Vec<Attribute>,
    pub(crate) body: TokenStream,
}

/// A name that an argument binds.
pub(crate) struct Binding {
    /// The argument's `#[cfg]`s: without them the name may not exist.
    pub(crate) conditions: Vec<Attribute>,
    pub(crate) name: Ident,
}

impl Parse for Function {
    fn parse(input: ParseStream) -> Result<Self> {
        Self::parse_for("traced", input)
    }
}

impl Function {
    /// What `#[attribute]` stands on.
    pub(crate) fn parse_for(attribute: &str, input: ParseStream) -> Result<Self> {
        let attributes = input.call(Attribute::parse_outer)?;
        let visibility = input.parse()?;
        if !peek_function(input) {
            let message = format_args!("`#[{attribute}]` stands on functions only");
            return Err(input.error(message));
        }
        let signature: Signature = input.parse()?;
        if let Some(constness) = &signature.constness {
            return Err(Error::new_spanned(
                constness,
                format_args!(
                    "`#[{attribute}]` cannot stand on a `const fn`: a call reads the clock"
                ),
            ));
        }
        if input.peek(Token![;]) {
            return Err(input.error(format_args!(
                "`#[{attribute}]` needs a function with a body: put it where `{}` is implemented",
                signature.ident,
            )));
        }
        let content;
        let braces = braced!(content in input);
        Ok(Self {
            attributes,
            visibility,
            signature,
            braces,
            inner_attributes: content.call(Attribute::parse_inner)?,
            body: content.parse()?,
        })
    }
}

impl Function {
    /// Whether it has an attribute of this name, by whichever path.
    pub(crate) fn has_attribute(&self, name: &str) -> bool {
        let last = |it: &Attribute| it.path().segments.last().map(|last| last.ident == name);
        self.attributes.iter().any(|it| last(it) == Some(true))
    }

    /// Puts something before the arguments of its `#[traced]`, or adds one.
    pub(crate) fn give_to_traced(&mut self, more: &TokenStream) {
        let is_ours = |it: &&mut Attribute| {
            let path: Vec<_> = it.path().segments.iter().map(|it| &it.ident).collect();
            matches!(&path[..], [name] if *name == "traced")
                || matches!(&path[..], [krate, name] if *krate == "tracer" && *name == "traced")
        };
        let Some(attribute) = self.attributes.iter_mut().find(is_ours) else {
            let traced = syn::parse_quote!(#[::tracer::traced(#more)]);
            return self.attributes.insert(0, traced);
        };
        let path = attribute.path();
        let given = match &attribute.meta {
            Meta::List(list) => Some(&list.tokens),
            _ => None,
        };
        attribute.meta = syn::parse_quote!(#path(#more #given));
    }

    /// The call's name.
    pub(crate) fn name(&self) -> String {
        self.signature.ident.unraw().to_string()
    }

    /// The type returned as it may be written within the body: `_` in place of each `impl Trait`.
    ///
    /// `None` when that would say nothing, or when the type is the unstable `!`.
    pub(crate) fn return_type(&self) -> Option<Type> {
        let ReturnType::Type(_, written) = &self.signature.output else {
            return Some(syn::parse_quote!(()));
        };
        let mut erased = Type::clone(written);
        erase_impl_trait(&mut erased);
        let says_something = !matches!(erased, Type::Infer(_) | Type::Never(_));
        (says_something && !mentions(erased.to_token_stream(), "impl")).then_some(erased)
    }

    /// Whether it certainly returns no `Result`.
    pub(crate) fn returns_nothing(&self) -> bool {
        match &self.signature.output {
            ReturnType::Default => true,
            ReturnType::Type(_, written) => match &**written {
                Type::Tuple(tuple) => tuple.elems.is_empty(),
                written => matches!(written, Type::Never(_)),
            },
        }
    }

    /// Whether it is not async and returns a future all the same, as far as its type tells.
    pub(crate) fn returns_future(&self) -> bool {
        let ReturnType::Type(_, written) = &self.signature.output else {
            return false;
        };
        let is_result = match &**written {
            Type::Path(path) => {
                let last = path.path.segments.last();
                last.is_some_and(|last| last.ident.to_string().ends_with("Result"))
            }
            _ => false,
        };
        let is_async = self.signature.asyncness.is_some();
        !is_async && !is_result && mentions(written.to_token_stream(), "Future")
    }

    /// The names that the arguments bind, in the order in which they are dropped, but for those
    /// that the body does not mention.
    ///
    /// `_name`s count as mentioned: they are there for their drop. Any other name that is left out
    /// here is one about which the compiler has something to say to the user.
    pub(crate) fn bindings(&self) -> Vec<Binding> {
        let mut bindings = Vec::new();
        for argument in &self.signature.inputs {
            let (attributes, names) = match argument {
                FnArg::Receiver(receiver) => (&receiver.attrs, vec![receiver.self_token.into()]),
                FnArg::Typed(argument) => {
                    let mut names = Vec::new();
                    bound_names(&argument.pat, &mut names);
                    (&argument.attrs, names)
                }
            };
            let conditions = attributes.iter().filter(|it| it.path().is_ident("cfg"));
            bindings.extend(names.into_iter().map(|name| Binding {
                conditions: conditions.clone().cloned().collect(),
                name,
            }));
        }
        bindings.retain(|binding| {
            let name = binding.name.unraw().to_string();
            name.starts_with('_') || mentions(self.body.clone(), &name)
        });
        bindings.reverse();
        bindings
    }
}

/// Whether the keyword `fn` comes next, after the words that may stand before it.
fn peek_function(input: ParseStream) -> bool {
    let ahead = input.fork();
    while ahead.peek(Token![const])
        || ahead.peek(Token![async])
        || ahead.peek(Token![unsafe])
        || ahead.peek(Token![extern])
        || ahead.peek(LitStr)
    {
        // Cannot fail: there is a token.
        let _ = ahead.parse::<TokenTree>();
    }
    ahead.peek(Token![fn])
}

/// Whether a word occurs in tokens, be it in a literal: `"{name}"` is a use of `name`.
fn mentions(tokens: TokenStream, word: &str) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Group(group) => mentions(group.stream(), word),
        TokenTree::Ident(ident) => ident.unraw() == word,
        TokenTree::Literal(literal) => literal.to_string().contains(word),
        TokenTree::Punct(_) => false,
    })
}

fn bound_names(pattern: &Pat, names: &mut Vec<Ident>) {
    match pattern {
        Pat::Ident(bound) => {
            names.push(bound.ident.clone());
            if let Some((_, inner)) = &bound.subpat {
                bound_names(inner, names);
            }
        }
        Pat::Paren(inner) => bound_names(&inner.pat, names),
        Pat::Reference(inner) => bound_names(&inner.pat, names),
        Pat::Type(inner) => bound_names(&inner.pat, names),
        Pat::Slice(all) => all.elems.iter().for_each(|it| bound_names(it, names)),
        Pat::Tuple(all) => all.elems.iter().for_each(|it| bound_names(it, names)),
        Pat::TupleStruct(all) => all.elems.iter().for_each(|it| bound_names(it, names)),
        Pat::Struct(all) => all.fields.iter().for_each(|it| bound_names(&it.pat, names)),
        // All alternatives bind the same names.
        Pat::Or(all) => all
            .cases
            .iter()
            .take(1)
            .for_each(|it| bound_names(it, names)),
        _ => {}
    }
}

/// Puts `_` in place of each `impl Trait`, wherever the language lets one stand in a return type.
fn erase_impl_trait(written: &mut Type) {
    match written {
        Type::ImplTrait(_) => *written = syn::parse_quote!(_),
        Type::Group(inner) => erase_impl_trait(&mut inner.elem),
        Type::Paren(inner) => erase_impl_trait(&mut inner.elem),
        Type::Array(inner) => erase_impl_trait(&mut inner.elem),
        Type::Slice(inner) => erase_impl_trait(&mut inner.elem),
        Type::Reference(inner) => erase_impl_trait(&mut inner.elem),
        Type::Tuple(all) => all.elems.iter_mut().for_each(erase_impl_trait),
        Type::Path(path) => {
            for segment in &mut path.path.segments {
                if let PathArguments::AngleBracketed(arguments) = &mut segment.arguments {
                    for argument in &mut arguments.args {
                        if let GenericArgument::Type(inner) = argument {
                            erase_impl_trait(inner);
                        }
                    }
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    fn function(tokens: TokenStream) -> Function {
        syn::parse2(tokens).unwrap()
    }

    fn error(tokens: TokenStream) -> String {
        syn::parse2::<Function>(tokens).err().unwrap().to_string()
    }

    fn bindings(tokens: TokenStream) -> Vec<String> {
        let bindings = function(tokens).bindings();
        bindings.iter().map(|it| it.name.to_string()).collect()
    }

    fn return_type(tokens: TokenStream) -> Option<String> {
        let returned = function(tokens).return_type();
        returned.map(|it| it.to_token_stream().to_string())
    }

    #[test]
    fn only_functions_with_a_body() {
        for item in [
            quote!(
                struct Point(fn());
            ),
            quote!(
                pub unsafe trait Shape {}
            ),
            quote!(
                extern "C" {
                    fn f();
                }
            ),
            quote!(
                const F: fn() = f;
            ),
        ] {
            assert!(error(item).ends_with("stands on functions only"));
        }
        assert!(
            error(quote!(
                fn f(&self) -> u32;
            ))
            .contains("a function with a body")
        );
        assert!(
            error(quote!(
                pub const unsafe fn f() {}
            ))
            .contains("`const fn`")
        );
    }

    #[test]
    fn a_body_may_be_anything() {
        let function =
            function(quote!(pub(crate) async unsafe fn f() { #![allow(unused)] let = . }));
        assert_eq!(function.body.to_string(), "let = .");
        assert_eq!(function.inner_attributes.len(), 1);
    }

    #[test]
    fn a_raw_name_loses_its_prefix() {
        assert_eq!(
            function(quote!(
                fn r#loop() {}
            ))
            .name(),
            "loop"
        );
    }

    #[test]
    fn bindings_come_in_the_order_of_their_drop() {
        let all = quote! {
            fn f(self, a: A, (b, Q { c, d: e @ [g, ..], .. }): B, &h: &H, _i: I, _: J) {
                self.x(a, b, c, d, e, g, h)
            }
        };
        let order = ["_i", "h", "g", "e", "c", "b", "a", "self"];
        assert_eq!(bindings(all), order);
    }

    #[test]
    fn bindings_that_the_body_does_not_mention_are_left_to_the_compiler() {
        let some = quote!(fn f(a: A, b: B, c: C, r#type: D) { { g!("{b}") } + [r#type] });
        assert_eq!(bindings(some), ["r#type", "b"]);
    }

    #[test]
    fn return_types_lose_what_only_a_signature_may_say() {
        assert_eq!(
            return_type(quote!(
                fn f() {}
            ))
            .unwrap(),
            "()"
        );
        let written = quote!(
            fn f() -> Result<(impl A, &'a [B]), Box<dyn C>> {}
        );
        let erased = "Result < (_ , & 'a [B]) , Box < dyn C > >";
        assert_eq!(return_type(written).unwrap(), erased);
        assert_eq!(
            return_type(quote!(
                fn f() -> impl A + '_ {}
            )),
            None
        );
        assert_eq!(
            return_type(quote!(
                fn f() -> Box<dyn A<B = impl C>> {}
            )),
            None
        );
        assert_eq!(
            return_type(quote!(
                fn f() -> ! {}
            )),
            None
        );
    }

    #[test]
    fn what_returns_nothing_is_no_result() {
        assert!(
            function(quote!(
                fn f() {}
            ))
            .returns_nothing()
        );
        assert!(
            function(quote!(
                fn f() -> () {}
            ))
            .returns_nothing()
        );
        assert!(
            function(quote!(
                fn f() -> ! {}
            ))
            .returns_nothing()
        );
        assert!(
            !function(quote!(
                fn f() -> io::Result<()> {}
            ))
            .returns_nothing()
        );
    }
}
