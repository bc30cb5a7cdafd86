//! The attributes of the crate `strandline-plugin`, which documents them.

mod needs;
mod plugin;
mod signature;

use proc_macro::TokenStream;

use crate::plugin::World;

/// Makes a filter of a function.
///
/// ```text
/// #[strandline_plugin::filter(needs(value))]
/// fn errors_only(record: &Record<'_>, settings: &Settings) -> Verdict { … }
/// ```
///
/// The function takes the record and, if the plugin has any, its settings, which are read from the JSON of the
/// attachment with serde. It returns whatever is `IntoVerdict`: a `Verdict`, a `bool`, or a `Result` of one.
///
/// What it reads of a record stands in the attribute, because everything else need not be copied: `needs(key, subject,
/// headers, value)`, or `value(prefix = BYTES)`, or a function of the settings: `needs = Settings::needs`. A filter
/// that does not say gets all.
///
/// Beside the function there is then a type of the same name that implements `Filter`, which is how tests name the
/// plugin: `testing::filter::<errors_only>(…)`.
#[proc_macro_attribute]
pub fn filter(attribute: TokenStream, item: TokenStream) -> TokenStream {
    plugin::expand(World::Filter, attribute.into(), item.into()).into()
}

/// Makes a key extractor of a function.
///
/// ```text
/// #[strandline_plugin::key_extractor(needs(subject))]
/// fn device(record: &Record<'_>) -> Option<Key<'_>> {
///     record.token(1).map(Key::from)
/// }
/// ```
///
/// As `filter`, but it returns whatever is `IntoKey`: a `Key` or what can be made one, an `Option` or a `Result` of
/// that. A lifetime that is left out in what it returns is that of the record, or of the settings.
#[proc_macro_attribute]
pub fn key_extractor(attribute: TokenStream, item: TokenStream) -> TokenStream {
    plugin::expand(World::KeyExtractor, attribute.into(), item.into()).into()
}

#[cfg(test)]
mod tests;
