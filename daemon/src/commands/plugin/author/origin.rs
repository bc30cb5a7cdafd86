//! Where a module comes from: a file, or the plugins of a cluster.

use std::path::PathBuf;
use std::str::FromStr;

use strandline_client::admin::Admin;

use super::component::Component;
use crate::commands::connection::refused;
use crate::commands::plugin::settings::PluginRef;
use crate::exit::Failure;

/// A module that a command names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::commands::plugin) enum Origin {
    /// A component on this machine.
    File(PathBuf),
    /// A version that was pushed, or the newest.
    Pushed(PluginRef),
}

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains(['/', '\\']) || text.ends_with(".wasm") {
            return Ok(Self::File(PathBuf::from(text)));
        }
        text.parse().map(Self::Pushed)
    }
}

impl Origin {
    /// The component, under the name that it is shown by.
    ///
    /// # Errors
    ///
    /// It is not there, or is no plugin.
    pub(super) async fn component(&self, admin: &Admin) -> Result<Component, Failure> {
        match self {
            Self::File(path) => {
                let bytes = std::fs::read(path)
                    .map_err(|error| Failure::new(format!("cannot read {}: {error}", path.display())))?;
                Component::check(path, bytes)
            }
            Self::Pushed(PluginRef { name, version }) => {
                let fetched = admin.fetch_plugin(name, *version).await;
                let fetched = fetched.map_err(|error| refused(&format!("fetch plugin {name}"), &error))?;
                Component::named(
                    &format!("{name}@{}", fetched.version.number),
                    fetched.bytes.to_vec(),
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_a_file_or_a_version() {
        let file = |path: &str| Ok(Origin::File(PathBuf::from(path)));
        assert_eq!("a.wasm".parse(), file("a.wasm"));
        assert_eq!("./a".parse(), file("./a"));
        let pushed = Origin::Pushed("a@2".parse().unwrap());
        assert_eq!("a@2".parse(), Ok(pushed));
        assert!("a@x".parse::<Origin>().is_err());
    }
}
