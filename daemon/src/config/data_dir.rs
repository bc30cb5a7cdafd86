//! Where state goes unless it is said.

use std::path::PathBuf;

/// Where a service keeps its state.
const SYSTEM: &str = "/var/lib/strandline";

/// Who runs the process, as far as the default data directory depends on it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Account {
    /// Whether it may write everywhere.
    pub(crate) is_root: bool,
    /// `XDG_DATA_HOME`.
    pub(crate) xdg_data_home: Option<PathBuf>,
    /// `HOME`.
    pub(crate) home: Option<PathBuf>,
}

impl Account {
    /// The account of this process.
    pub(crate) fn current() -> Self {
        let variable = |name| std::env::var_os(name).map(PathBuf::from);
        Self {
            is_root: rustix::process::geteuid().is_root(),
            xdg_data_home: variable("XDG_DATA_HOME"),
            home: variable("HOME"),
        }
    }

    /// The default data directory: one that outlives a restart of the machine, which Liftbridge's, under the system's
    /// temporary directory, does not. None if there is no such place.
    pub(crate) fn default_data_dir(&self) -> Option<PathBuf> {
        if self.is_root {
            return Some(PathBuf::from(SYSTEM));
        }
        // The XDG specification has relative paths ignored.
        let data_home = self.xdg_data_home.clone().filter(|path| path.is_absolute());
        let home = self
            .home
            .as_ref()
            .filter(|path| path.is_absolute())
            .map(|home| home.join(".local/share"));
        data_home.or(home).map(|base| base.join("strandline"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn default(is_root: bool, xdg: Option<&str>, home: Option<&str>) -> Option<PathBuf> {
        Account {
            is_root,
            xdg_data_home: xdg.map(PathBuf::from),
            home: home.map(PathBuf::from),
        }
        .default_data_dir()
    }

    #[test]
    fn a_user_has_it_in_the_home_directory_and_root_in_the_systems() {
        assert_eq!(
            default(false, None, Some("/home/u")),
            Some("/home/u/.local/share/strandline".into())
        );
        assert_eq!(
            default(false, Some("/data"), Some("/home/u")),
            Some("/data/strandline".into())
        );
        assert_eq!(
            default(false, Some("data"), Some("/home/u")),
            Some("/home/u/.local/share/strandline".into())
        );
        assert_eq!(default(true, None, Some("/root")), Some(SYSTEM.into()));
    }

    #[test]
    fn without_a_home_there_is_no_default() {
        assert_eq!(default(false, None, None), None);
        assert_eq!(default(false, Some(""), Some("")), None);
    }
}
