//! What stands beside the function: a type that implements the trait, and the exports of the module.

use proc_macro2::TokenStream;
use quote::quote;

use crate::needs::Needs;
use crate::signature::Signature;

/// What a function is to become.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum World {
    Filter,
    KeyExtractor,
}

/// The function with what makes it a plugin; where that cannot be, the function as it is with the error, so that there
/// is no second error that it were missing.
pub(crate) fn expand(world: World, attribute: TokenStream, item: TokenStream) -> TokenStream {
    let expanded = syn::parse2::<Needs>(attribute).and_then(|needs| {
        let signature = Signature::of(world, syn::parse2(item.clone())?)?;
        Ok(plugin(world, &needs, &signature))
    });
    expanded.unwrap_or_else(|error| {
        let error = error.into_compile_error();
        quote!(#error #item)
    })
}

fn plugin(world: World, needs: &Needs, signature: &Signature) -> TokenStream {
    let Signature { function, settings } = signature;
    let (name, visibility) = (&function.sig.ident, &function.vis);
    let none = quote!(::strandline_plugin::NoSettings);
    let settings_type = settings.as_ref().unwrap_or(&none);
    let call = if settings.is_some() {
        quote!(#name(record, settings))
    } else {
        quote!(#name(record))
    };
    let answer = answer(world, &call);
    let (plugin_trait, export) = match world {
        World::Filter => (quote!(Filter), quote!(export_filter)),
        World::KeyExtractor => (quote!(KeyExtractor), quote!(export_key_extractor)),
    };
    quote! {
        #function

        #[doc = "The plugin, for tests to name it."]
        #[allow(non_camel_case_types, dead_code)]
        #visibility enum #name {}

        #[allow(unused_variables)]
        impl ::strandline_plugin::#plugin_trait for #name {
            type Settings = #settings_type;

            #[inline]
            fn needs(settings: &Self::Settings) -> ::strandline_plugin::Needs {
                #needs
            }

            #[inline]
            #answer
        }

        // Natively only tests call it.
        const _: () = {
            let _ = <#name as ::strandline_plugin::#plugin_trait>::needs;
        };

        #[cfg(target_family = "wasm")]
        ::strandline_plugin::#export!(#name);
    }
}

/// The method of the trait that asks the function and makes its answer one of the contract.
fn answer(world: World, call: &TokenStream) -> TokenStream {
    match world {
        World::Filter => quote! {
            fn judge(
                record: &::strandline_plugin::Record<'_>,
                settings: &Self::Settings,
            ) -> ::strandline_plugin::Verdict {
                ::strandline_plugin::IntoVerdict::into_verdict(#call)
            }
        },
        World::KeyExtractor => quote! {
            fn key<'r>(
                record: &::strandline_plugin::Record<'r>,
                settings: &'r Self::Settings,
            ) -> ::core::result::Result<
                ::core::option::Option<::strandline_plugin::Key<'r>>,
                ::std::string::String,
            > {
                ::strandline_plugin::IntoKey::into_key(#call)
            }
        },
    }
}
