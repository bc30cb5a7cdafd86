//! The function that becomes a plugin, and what is wrong with it if it cannot.

use proc_macro2::{Group, Punct, Spacing, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::spanned::Spanned;
use syn::{
    Error, FnArg, ItemFn, PathArguments, Result, ReturnType, Safety, Type, parse_quote, parse_quote_spanned,
};

use crate::plugin::World;

/// A function that fits its world.
pub(crate) struct Signature {
    /// As it was written, with the lifetimes that were left out.
    pub(crate) function: ItemFn,
    /// The type of its settings, if it takes any.
    pub(crate) settings: Option<TokenStream>,
}

impl Signature {
    pub(crate) fn of(world: World, mut function: ItemFn) -> Result<Self> {
        let sig = &function.sig;
        for (unwanted, what) in [
            (sig.asyncness.map(|token| token.span()), "async"),
            (unsafe_span(&sig.safety), "unsafe"),
            (sig.variadic.as_ref().map(Spanned::span), "variadic"),
            (sig.generics.type_params().next().map(Spanned::span), "generic"),
        ] {
            if let Some(span) = unwanted {
                return Err(Error::new(
                    span,
                    format!("a plugin's function cannot be {what}; {}", shape(world)),
                ));
            }
        }
        if matches!(sig.output, ReturnType::Default) {
            return Err(Error::new(
                sig.paren_token.span.close(),
                format!("the answer is missing; {}", shape(world)),
            ));
        }
        let inputs = sig.inputs.iter().collect::<Vec<_>>();
        let (record, settings) = match inputs[..] {
            [record] => (record, None),
            [record, settings] => (record, Some(settings)),
            _ => return Err(Error::new(sig.paren_token.span.join(), shape(world))),
        };
        referenced(world, record)?;
        let settings = settings.map(|settings| referenced(world, settings)).transpose()?;
        let settings = settings.map(|settings| settings.to_token_stream());
        if world == World::KeyExtractor && function.sig.generics.lifetimes().next().is_none() {
            name_lifetimes(&mut function);
        }
        Ok(Self { function, settings })
    }
}

fn unsafe_span(safety: &Safety) -> Option<Span> {
    match safety {
        Safety::Unsafe(token) => Some(token.span),
        _ => None,
    }
}

fn shape(world: World) -> &'static str {
    match world {
        World::Filter => {
            "a filter is `fn name(record: &Record<'_>, settings: &Settings) -> Verdict`, or without settings"
        }
        World::KeyExtractor => {
            "a key extractor is `fn name(record: &Record<'_>, settings: &Settings) -> Option<Key<'_>>`, or without settings"
        }
    }
}

/// What the argument's type refers to.
fn referenced(world: World, argument: &FnArg) -> Result<&Type> {
    match argument {
        FnArg::Typed(typed) => match &*typed.ty {
            Type::Reference(reference) if reference.mutability.is_none() => Ok(&reference.elem),
            other => Err(Error::new(
                other.span(),
                format!("this is handed in by reference; {}", shape(world)),
            )),
        },
        FnArg::Receiver(receiver) => Err(Error::new(receiver.span(), shape(world))),
    }
}

/// Gives the lifetimes that were left out a name: a key is borrowed from the record or the settings.
fn name_lifetimes(function: &mut ItemFn) {
    let sig = &mut function.sig;
    sig.generics = parse_quote!(<'record>);
    for (at, input) in sig.inputs.iter_mut().enumerate() {
        let FnArg::Typed(typed) = input else { continue };
        let Type::Reference(reference) = &mut *typed.ty else {
            continue;
        };
        if at == 1 {
            reference.lifetime = Some(parse_quote_spanned!(reference.span()=> 'record));
        } else if let Type::Path(record) = &mut *reference.elem
            && let Some(last) = record.path.segments.last_mut()
        {
            last.arguments = PathArguments::AngleBracketed(parse_quote!(<'record>));
        }
    }
    let output = named(sig.output.to_token_stream());
    sig.output = syn::parse2(output).unwrap_or_else(|_| sig.output.clone());
}

/// `'_` and `&` become `'record` and `&'record`.
fn named(tokens: TokenStream) -> TokenStream {
    let mut out = TokenStream::new();
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Group(group) => {
                let mut inner = Group::new(group.delimiter(), named(group.stream()));
                inner.set_span(group.span());
                out.extend([TokenTree::Group(inner)]);
            }
            TokenTree::Punct(punct) if punct.as_char() == '\'' => {
                match tokens.next_if(|next| next.to_string() == "_") {
                    Some(_) => out.extend(quote!('record)),
                    None => out.extend([punct]),
                }
            }
            TokenTree::Punct(punct) if punct.as_char() == '&' => {
                let mut alone = Punct::new('&', Spacing::Alone);
                alone.set_span(punct.span());
                out.extend([alone]);
                if !matches!(tokens.peek(), Some(TokenTree::Punct(next)) if next.as_char() == '\'') {
                    out.extend(quote!('record));
                }
            }
            other => out.extend([other]),
        }
    }
    out
}
