//! The function under an attribute.

use proc_macro2::{Delimiter, Group, Ident, TokenStream, TokenTree};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{
    Attribute, Error, FnArg, GenericArgument, LitStr, Meta, Pat, Path, PathArguments, ReceiverKind,
    Result, ReturnType, Signature, Token, Type, TypeParamBound, Visibility, braced, token,
};

use crate::crate_path::CratePath;

/// A function whose body is kept as it is written.
///
/// The body is never parsed. That saves time, keeps syntax that syn does not know yet, and lets an
/// editor complete code in an unfinished body.
pub(crate) struct Function {
    /// The attributes before the function.
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) visibility: Visibility,
    pub(crate) signature: Signature,
    pub(crate) braces: token::Brace,
    /// The attributes at the beginning of the body, such as `#![allow(...)]`.
    pub(crate) inner_attributes: Vec<Attribute>,
    pub(crate) body: TokenStream,
}

/// A name that an argument binds.
pub(crate) struct Binding {
    /// The argument's own attributes, such as `#[cfg]`: without it the name may not exist.
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) name: Ident,
    pub(crate) used: Used,
}

/// Where a name that an argument binds is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Used {
    /// In the attribute, and maybe in the body too.
    ByAttribute,
    ByBody,
    /// Nowhere, without a lint: `_name`, `self`.
    ForItsDrop,
    /// Nowhere, and the compiler's lint should say so.
    Nowhere,
}

/// The future that is a function's last expression: `async move { ... }`, or that in `Box::pin(...)`,
/// which `#[async_trait]` makes of a method.
pub(crate) struct Tail {
    /// The tokens before it, including `Box::pin`.
    pub(crate) before: TokenStream,
    /// The parentheses of `Box::pin`.
    pub(crate) parentheses: Option<Group>,
    /// `async`, or `async move`.
    pub(crate) keywords: TokenStream,
    pub(crate) block: Group,
}

impl Parse for Function {
    fn parse(input: ParseStream) -> Result<Self> {
        Self::parse_for("traced", input)
    }
}

impl Function {
    /// Parses the function under `#[attribute]`.
    pub(crate) fn parse_for(attribute: &str, input: ParseStream) -> Result<Self> {
        let attributes = input.call(Attribute::parse_outer)?;
        let visibility = input.parse()?;
        if !peek_function(input) {
            let message = format!("`#[{attribute}]` stands on functions only");
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
    /// Returns whether it has an attribute of this name, by any path.
    pub(crate) fn has_attribute(&self, name: &str) -> bool {
        let last = |it: &Attribute| it.path().segments.last().map(|last| last.ident == name);
        self.attributes.iter().any(|it| last(it) == Some(true))
    }

    /// Puts tokens before the arguments of its `#[traced]`, or adds a `#[traced]` with them.
    pub(crate) fn give_to_traced(&mut self, crate_path: &CratePath, more: &TokenStream) {
        let is_ours = |it: &&mut Attribute| {
            let path: Vec<_> = it.path().segments.iter().map(|it| &it.ident).collect();
            matches!(&path[..], [name] if *name == "traced")
                || matches!(&path[..], [krate, name] if *krate == "tracer" && *name == "traced")
                || crate_path.leads_to("traced", it.path())
        };
        let Some(attribute) = self.attributes.iter_mut().find(is_ours) else {
            return self.attributes.insert(0, crate_path.traced(more));
        };
        let path = attribute.path();
        let given = match &attribute.meta {
            Meta::List(list) => Some(&list.tokens),
            _ => None,
        };
        attribute.meta = syn::parse_quote!(#path(#more #given));
    }

    /// Returns the call's name.
    pub(crate) fn name(&self) -> String {
        self.signature.ident.unraw().to_string()
    }

    /// Returns the return type as it may be written in the body: `_` in place of each `impl Trait`.
    ///
    /// `None` if no type is left then, or if the type is the unstable `!`.
    pub(crate) fn return_type(&self) -> Option<Type> {
        let ReturnType::Type(_, written) = &self.signature.output else {
            return Some(syn::parse_quote!(()));
        };
        let mut erased = Type::clone(written);
        erase_impl_trait(&mut erased);
        let says_something = !matches!(erased, Type::Infer(_) | Type::Never(_));
        (says_something && !mentions(erased.to_token_stream(), "impl")).then_some(erased)
    }

    /// Returns whether it certainly returns no `Result`.
    pub(crate) fn returns_nothing(&self) -> bool {
        match &self.signature.output {
            ReturnType::Default => true,
            ReturnType::Type(_, written) => match &**written {
                Type::Tuple(tuple) => tuple.elems.is_empty(),
                written => matches!(written, Type::Never(_)),
            },
        }
    }

    /// Returns whether its return type may be a future, judged by the type alone.
    pub(crate) fn may_return_future(&self) -> bool {
        let is_other = match &self.signature.output {
            ReturnType::Type(_, written) => match &**written {
                Type::Path(path) => path.path.segments.last().is_some_and(|last| {
                    last.ident == "Option" || last.ident.to_string().ends_with("Result")
                }),
                _ => false,
            },
            ReturnType::Default => true,
        };
        !is_other && !self.returns_nothing()
    }

    /// Returns the return type if it is recognisably a future and the function is not async.
    pub(crate) fn returned_future(&self) -> Option<&Type> {
        match &self.signature.output {
            ReturnType::Type(_, written) if self.signature.asyncness.is_none() => {
                is_future(written).then_some(&**written)
            }
            _ => None,
        }
    }

    /// Returns the future that its body ends with, if it can return no other.
    pub(crate) fn tail(&self) -> Option<Tail> {
        if self.signature.asyncness.is_some() {
            return None;
        }
        let tokens: Vec<_> = self.body.clone().into_iter().collect();
        let (before, tail) = match split_async(&tokens) {
            Some(tail) => tail,
            None => split_boxed(&tokens)?,
        };
        let ends_statement = match before.last() {
            None => true,
            Some(TokenTree::Punct(last)) => last.as_char() == ';',
            Some(TokenTree::Group(last)) => last.delimiter() == Delimiter::Brace,
            Some(_) => false,
        };
        let returns = mentions(before.iter().cloned().collect(), "return");
        (ends_statement && !returns).then_some(tail)
    }

    /// Returns the names that the arguments bind, in the order in which they are dropped, without
    /// references that are never mentioned. `attribute` is the attribute's argument list.
    pub(crate) fn bindings(&self, attribute: &TokenStream) -> Vec<Binding> {
        let mut bindings = Vec::new();
        for argument in &self.signature.inputs {
            let (attributes, names) = bound_by(argument);
            bindings.extend(names.into_iter().filter_map(|name| {
                let word = name.unraw().to_string();
                let used = if mentions(attribute.clone(), &word) {
                    Used::ByAttribute
                } else if mentions(self.body.clone(), &word) {
                    Used::ByBody
                } else if word.starts_with('_') || word == "self" && !is_reference(argument) {
                    Used::ForItsDrop
                } else if is_reference(argument) {
                    return None;
                } else {
                    Used::Nowhere
                };
                Some(Binding {
                    attributes: attributes.clone(),
                    name,
                    used,
                })
            }));
        }
        bindings.reverse();
        bindings
    }

    /// Removes `#[expect]` from unused arguments: it stands at the variables in their place.
    pub(crate) fn move_expectations(&mut self, bindings: &[Binding]) {
        for argument in &mut self.signature.inputs {
            let names = bound_by(argument).1;
            let is_unused = |name: &Ident| {
                bindings
                    .iter()
                    .any(|it| it.name == *name && it.used == Used::Nowhere)
            };
            if names.iter().any(is_unused)
                && let FnArg::Typed(argument) = argument
            {
                argument.attrs.retain(|it| !it.path().is_ident("expect"));
            }
        }
    }

    /// Returns whether an argument binds this name.
    pub(crate) fn binds(&self, name: &str) -> bool {
        let mut arguments = self.signature.inputs.iter();
        arguments.any(|argument| bound_by(argument).1.iter().any(|it| it.unraw() == name))
    }
}

/// Returns an argument's attributes, and the names that it binds.
fn bound_by(argument: &FnArg) -> (&Vec<Attribute>, Vec<Ident>) {
    match argument {
        FnArg::Receiver(receiver) => (&receiver.attrs, vec![receiver.self_token.into()]),
        FnArg::Typed(argument) => {
            let mut names = Vec::new();
            bound_names(&argument.pat, &mut names);
            (&argument.attrs, names)
        }
    }
}

/// Returns whether dropping the argument does nothing.
fn is_reference(argument: &FnArg) -> bool {
    match argument {
        FnArg::Receiver(receiver) => matches!(receiver.kind, ReceiverKind::Reference(..)),
        FnArg::Typed(argument) => matches!(*argument.ty, Type::Reference(_)),
    }
}

/// Splits off `Box::pin(async move { ... })` at the end, with any path to `Box::pin`.
fn split_boxed(tokens: &[TokenTree]) -> Option<(&[TokenTree], Tail)> {
    let (TokenTree::Group(parentheses), rest) = tokens.split_last()? else {
        return None;
    };
    let mut arguments: Vec<_> = parentheses.stream().into_iter().collect();
    if matches!(arguments.last(), Some(TokenTree::Punct(comma)) if comma.as_char() == ',') {
        arguments.pop();
    }
    let (nothing, mut tail) = split_async(&arguments)?;
    let is_call = parentheses.delimiter() == Delimiter::Parenthesis && nothing.is_empty();
    let path = path_at_end(rest);
    let is_box_pin = matches!(
        &rest[rest.len() - path..],
        [.., TokenTree::Ident(first), TokenTree::Punct(_), TokenTree::Punct(_), TokenTree::Ident(last)]
            if first == "Box" && last == "pin"
    );
    if !is_call || !is_box_pin {
        return None;
    }
    tail.before = rest.iter().cloned().collect();
    tail.parentheses = Some(parentheses.clone());
    Some((&rest[..rest.len() - path], tail))
}

/// Returns how many tokens at the end are one path.
fn path_at_end(tokens: &[TokenTree]) -> usize {
    let is_colon =
        |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ':');
    let mut rest = tokens;
    loop {
        rest = match rest {
            [before @ .., TokenTree::Ident(name)] if name != "return" => before,
            _ => break,
        };
        rest = match rest {
            [before @ .., first, second] if is_colon(first) && is_colon(second) => before,
            _ => break,
        };
    }
    tokens.len() - rest.len()
}

/// Splits off `async move { ... }` at the end.
fn split_async(tokens: &[TokenTree]) -> Option<(&[TokenTree], Tail)> {
    let (TokenTree::Group(block), rest) = tokens.split_last()? else {
        return None;
    };
    let is =
        |token: Option<&TokenTree>, word| matches!(token, Some(TokenTree::Ident(it)) if it == word);
    let words = match rest {
        [.., last] if is(Some(last), "async") => 1,
        [.., first, last] if is(Some(first), "async") && is(Some(last), "move") => 2,
        _ => return None,
    };
    if block.delimiter() != Delimiter::Brace {
        return None;
    }
    let (before, keywords) = rest.split_at(rest.len() - words);
    let tail = Tail {
        before: before.iter().cloned().collect(),
        parentheses: None,
        keywords: keywords.iter().cloned().collect(),
        block: block.clone(),
    };
    Some((before, tail))
}

/// Returns whether the keyword `fn` comes next, after the words that may stand before it.
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

/// Returns whether a word occurs in tokens other than as a field or method, after a dot. In a literal it
/// counts if it is a variable of a format string.
pub(crate) fn mentions(tokens: TokenStream, word: &str) -> bool {
    let mut dots = 0;
    tokens.into_iter().any(|token| {
        let is_member = dots == 1;
        dots = match &token {
            TokenTree::Punct(punct) if punct.as_char() == '.' => dots + 1,
            _ => 0,
        };
        match token {
            TokenTree::Group(group) => mentions(group.stream(), word),
            TokenTree::Ident(ident) => !is_member && ident.unraw() == word,
            TokenTree::Literal(literal) => captures(&literal.to_string(), word),
            TokenTree::Punct(_) => false,
        }
    })
}

/// Returns whether a word is a variable of a format string: `{word}`, `{word:?}`, `{:word$}`.
fn captures(literal: &str, word: &str) -> bool {
    let is_edge = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric() && c != '_');
    literal.match_indices(word).any(|(start, _)| {
        let before = literal[..start].chars().next_back();
        let after = literal[start + word.len()..].chars().next();
        is_edge(before) && ((before == Some('{') && is_edge(after)) || after == Some('$'))
    })
}

/// Returns whether a type is recognisably a future: `impl Future`, `Pin<Box<dyn Future>>`, `BoxFuture`.
fn is_future(written: &Type) -> bool {
    let by_bounds = |bounds: &Punctuated<TypeParamBound, Token![+]>| {
        bounds.iter().any(|bound| match bound {
            TypeParamBound::Trait(bound) => is_future_name(&bound.path),
            _ => false,
        })
    };
    match written {
        Type::ImplTrait(written) => by_bounds(&written.bounds),
        Type::TraitObject(written) => by_bounds(&written.bounds),
        Type::Group(inner) => is_future(&inner.elem),
        Type::Paren(inner) => is_future(&inner.elem),
        Type::Path(written) => match written.path.segments.last() {
            Some(last) if last.ident == "Pin" || last.ident == "Box" => match &last.arguments {
                PathArguments::AngleBracketed(arguments) => {
                    let first = arguments.args.first();
                    matches!(first, Some(GenericArgument::Type(inner)) if is_future(inner))
                }
                _ => false,
            },
            _ => is_future_name(&written.path),
        },
        _ => false,
    }
}

fn is_future_name(path: &Path) -> bool {
    let last = path.segments.last();
    last.is_some_and(|last| last.ident.to_string().ends_with("Future"))
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

/// Replaces each `impl Trait` by `_`, wherever the language allows one in a return type.
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
        let bindings = function(tokens).bindings(&TokenStream::new());
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
    fn bindings_are_used_by_the_body_the_attribute_or_nobody() {
        let function = function(quote! {
            fn f(&self, a: A, b: B, c: C, d: &D, _e: E, f: F, r#type: G) {
                { g!("{b} a d {{f}}") } + [r#type]
            }
        });
        let bindings = function.bindings(&quote!("{c:?}", n = 1));
        let found: Vec<_> = bindings
            .iter()
            .map(|it| (it.name.to_string(), it.used))
            .collect();
        let expected = [
            ("r#type", Used::ByBody),
            ("f", Used::ByBody),
            ("_e", Used::ForItsDrop),
            ("c", Used::ByAttribute),
            ("b", Used::ByBody),
            ("a", Used::Nowhere),
        ];
        assert_eq!(found, expected.map(|(name, used)| (name.to_owned(), used)));
        assert!(function.binds("type") && function.binds("self") && !function.binds("g"));
    }

    #[test]
    fn a_field_or_method_is_not_a_variable() {
        for tokens in [
            quote!(id),
            quote!(f(id.len())),
            quote!(0..id),
            quote!(..=id),
        ] {
            assert!(mentions(tokens.clone(), "id"), "{tokens}");
        }
        for tokens in [
            quote!(self.id),
            quote!(a.id()),
            quote!(a.b.id),
            quote!(f(a.id)),
        ] {
            assert!(!mentions(tokens.clone(), "id"), "{tokens}");
        }
    }

    #[test]
    fn a_literal_mentions_what_a_format_string_takes() {
        for literal in [
            "{id}",
            "{id:?}",
            "{id }",
            "{a} {id}",
            "{:id$}",
            "{:.id$}",
            "{:>1$id$}",
        ] {
            assert!(captures(literal, "id"), "{literal}");
        }
        for literal in [
            "id",
            "{ids}",
            "{my_id}",
            "{id_}",
            "a id b",
            "{:my_id$}",
            "{a:id}",
        ] {
            assert!(!captures(literal, "id"), "{literal}");
        }
    }

    fn tail(body: &TokenStream) -> Option<[String; 3]> {
        let tail = function(quote!(fn f() { #body })).tail()?;
        let text = |tokens: TokenStream| tokens.to_string();
        Some([tail.before, tail.keywords, tail.block.stream()].map(text))
    }

    #[test]
    fn the_future_at_the_end_of_a_body_is_found() {
        let found = |before: &str, keywords: &str, block: &str| {
            Some([before, keywords, block].map(str::to_owned))
        };
        assert_eq!(tail(&quote!(async { a })), found("", "async", "a"));
        assert_eq!(
            tail(&quote!(let a = b; async move { a })),
            found("let a = b ;", "async move", "a")
        );
        assert_eq!(
            tail(&quote!(Box::pin(async move { a }))),
            found("Box :: pin", "async move", "a")
        );
        assert_eq!(
            tail(&quote!(if a { b(); } ::std::boxed::Box::pin(async { a },))),
            found(
                "if a { b () ; } :: std :: boxed :: Box :: pin",
                "async",
                "a"
            )
        );
    }

    #[test]
    fn another_end_of_a_body_is_not_taken_for_a_future_that_is_seen() {
        for body in [
            quote!(),
            quote!({ a }),
            quote!(a.boxed()),
            quote!(async move { a }.boxed()),
            quote!(async move { a };),
            quote!(return Box::pin(async move { a })),
            quote!(return ::std::boxed::Box::pin(async move { a })),
            quote!(if a { return b; } Box::pin(async move { a })),
            quote!(spawn(async move { a })),
            quote!(Rc::pin(async move { a })),
            quote!(Box::new(async move { a })),
            quote!(Box::pin(wrap(async move { a }))),
            quote!(Box::pin(a, async move { a })),
            quote!(a = async move { a }),
            quote!(a + Box::pin(async move { a })),
        ] {
            assert_eq!(tail(&body), None, "{body}");
        }
        assert!(
            function(quote!(
                async fn f() {
                    async move { a }
                }
            ))
            .tail()
            .is_none()
        );
    }

    #[test]
    fn a_type_that_is_a_future_is_told_from_one_that_has_some() {
        let is_future = |written: TokenStream| {
            function(quote!(fn f() -> #written {}))
                .returned_future()
                .is_some()
        };
        for written in [
            quote!(impl Future<Output = A>),
            quote!(impl Send + std::future::Future<Output = A> + 'a),
            quote!(Pin<Box<dyn Future<Output = A> + Send>>),
            quote!(::core::pin::Pin<Box<dyn ::core::future::Future<Output = A>>>),
            quote!(BoxFuture<'a, A>),
            quote!(Self::Future),
            quote!(<S as Service<R>>::Future),
        ] {
            assert!(is_future(written.clone()), "{written}");
        }
        for written in [
            quote!(A),
            quote!(Vec<BoxFuture<'a, A>>),
            quote!(io::Result<impl Future<Output = A>>),
            quote!((A, BoxFuture<'a, A>)),
            quote!(impl Fn() -> BoxFuture<'a, A>),
            quote!(Box<dyn Fn() -> BoxFuture<'a, A>>),
        ] {
            assert!(!is_future(written.clone()), "{written}");
        }
        let function = function(quote!(
            async fn f() -> BoxFuture<'a, A> {}
        ));
        assert!(function.returned_future().is_none());
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
