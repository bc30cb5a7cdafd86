//! The argument of the attributes: what the plugin reads of a record.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::parse::{Parse, ParseStream};
use syn::{Error, Expr, Ident, LitInt, Result, Token, parenthesized};

const KNOWN: &str = "a plugin needs key, subject, headers, value or value(prefix = BYTES) of a record";

/// What the plugin reads of a record.
pub(crate) enum Needs {
    /// Nothing was said.
    All,
    /// `needs(…)`
    Parts(Parts),
    /// `needs = FUNCTION`
    Function(Expr),
}

/// `key, subject, headers, value` or fewer.
#[derive(Default)]
pub(crate) struct Parts {
    key: bool,
    subject: bool,
    headers: bool,
    /// The number of bytes, where there is a number.
    value: Option<Option<LitInt>>,
}

impl Parse for Needs {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        if input.is_empty() {
            return Ok(Self::All);
        }
        let name: Ident = input.parse()?;
        if name != "needs" {
            let text = format!("unknown argument `{name}`: there is needs(…), and {KNOWN}");
            return Err(Error::new(name.span(), text));
        }
        let needs = if input.peek(Token![=]) {
            input.parse::<Token![=]>()?;
            Self::Function(input.parse()?)
        } else {
            let list;
            parenthesized!(list in input);
            Self::Parts(list.parse()?)
        };
        if input.is_empty() {
            Ok(needs)
        } else {
            Err(input.error("nothing more can follow the needs"))
        }
    }
}

impl Parse for Parts {
    fn parse(list: ParseStream<'_>) -> Result<Self> {
        let mut parts = Self::default();
        while !list.is_empty() {
            parts.add(list)?;
            if !list.is_empty() {
                list.parse::<Token![,]>()?;
            }
        }
        Ok(parts)
    }
}

impl Parts {
    fn add(&mut self, list: ParseStream<'_>) -> Result<()> {
        let name: Ident = list.parse()?;
        let twice = match name.to_string().as_str() {
            "key" => std::mem::replace(&mut self.key, true),
            "subject" => std::mem::replace(&mut self.subject, true),
            "headers" => std::mem::replace(&mut self.headers, true),
            "value" => self.value.replace(prefix(list)?).is_some(),
            other => {
                return Err(Error::new(
                    name.span(),
                    format!("no part of a record is called `{other}`: {KNOWN}"),
                ));
            }
        };
        if twice {
            Err(Error::new(name.span(), format!("`{name}` is said twice")))
        } else {
            Ok(())
        }
    }
}

/// `(prefix = BYTES)`, if that follows.
fn prefix(list: ParseStream<'_>) -> Result<Option<LitInt>> {
    if !list.peek(syn::token::Paren) {
        return Ok(None);
    }
    let inner;
    parenthesized!(inner in list);
    let name: Ident = inner.parse()?;
    if name != "prefix" {
        return Err(Error::new(
            name.span(),
            "of a value there is the whole, `value`, or `value(prefix = BYTES)`",
        ));
    }
    inner.parse::<Token![=]>()?;
    let bytes: LitInt = inner.parse()?;
    bytes.base10_parse::<u32>()?;
    if inner.is_empty() {
        Ok(Some(bytes))
    } else {
        Err(inner.error("nothing more can follow the number of bytes"))
    }
}

impl ToTokens for Needs {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        tokens.extend(match self {
            Self::All => quote!(::strandline_plugin::Needs::ALL),
            Self::Function(function) => quote!((#function)(settings)),
            Self::Parts(Parts {
                key,
                subject,
                headers,
                value,
            }) => {
                let value = match value {
                    None => quote!(None),
                    Some(None) => quote!(Whole),
                    Some(Some(bytes)) => quote!(Prefix(#bytes)),
                };
                quote! {
                    ::strandline_plugin::Needs {
                        key: #key,
                        subject: #subject,
                        headers: #headers,
                        value: ::strandline_plugin::ValueNeed::#value,
                    }
                }
            }
        });
    }
}
