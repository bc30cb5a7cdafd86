//! Settings of a plugin, as the command line gives them, and versions.

use std::path::PathBuf;

use clap::Args;
use strandline_client::admin::Variant;

use crate::exit::Failure;

/// A version of a plugin with settings.
#[derive(Debug, Args)]
pub(super) struct VariantArgs {
    /// Settings for the plugin, as JSON
    #[arg(long, value_name = "JSON", conflicts_with = "settings_file", value_parser = json)]
    pub(super) settings: Option<String>,
    /// File with the settings, as JSON
    #[arg(long, value_name = "FILE")]
    pub(super) settings_file: Option<PathBuf>,
}

impl VariantArgs {
    /// The settings, if there are any.
    pub(super) fn settings(&self) -> Result<Option<String>, Failure> {
        let Some(path) = &self.settings_file else {
            return Ok(self.settings.clone());
        };
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|error| Failure::new(format!("cannot read {}: {error}", path.display())))?;
        let text = json(&text).map_err(|error| Failure::new(format!("{} {error}", path.display())))?;
        Ok(Some(text))
    }

    /// A version with these settings, or with others where none are given.
    pub(super) fn variant(&self, version: Option<u32>, otherwise: &str) -> Result<Variant, Failure> {
        Ok(Variant {
            version,
            settings: self.settings()?.unwrap_or_else(|| otherwise.to_owned()),
        })
    }
}

/// A JSON text, as it is.
pub(in crate::commands) fn json(text: &str) -> Result<String, String> {
    match serde_json::from_str::<serde::de::IgnoredAny>(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("is no JSON: {error}")),
    }
}

/// A plugin, or a version of it: NAME or NAME@VERSION.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PluginRef {
    pub(super) name: String,
    pub(super) version: Option<u32>,
}

impl std::str::FromStr for PluginRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, version) = match text.split_once('@') {
            None => (text, None),
            Some((name, version)) => {
                let number = version.parse().ok().filter(|&number: &u32| number > 0);
                let number = number.ok_or("a version is a number from 1, as in NAME@1")?;
                (name, Some(number))
            }
        };
        if name.is_empty() {
            return Err("takes NAME or NAME@VERSION".to_owned());
        }
        Ok(Self {
            name: name.to_owned(),
            version,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_is_named_with_or_without_a_version() {
        let reference = |name: &str, version| PluginRef {
            name: name.to_owned(),
            version,
        };
        assert_eq!("f".parse(), Ok(reference("f", None)));
        assert_eq!("acme.f@12".parse(), Ok(reference("acme.f", Some(12))));
        for bad in ["", "@1", "f@", "f@0", "f@x", "f@-1", "f@1@2"] {
            assert!(bad.parse::<PluginRef>().is_err(), "{bad}");
        }
    }

    #[test]
    fn settings_that_are_no_json_are_refused_where_they_are_typed() {
        assert_eq!(json(r#"{"a":1}"#), Ok(r#"{"a":1}"#.to_owned()));
        assert!(json("{a:1}").unwrap_err().starts_with("is no JSON: "));
        assert!(json("").is_err());
    }
}
