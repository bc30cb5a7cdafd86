//! The value of every setting after file, environment and flags have been laid over the defaults.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use strandline_broker::settings::Address;

use super::key::Key;
use super::keys;
use super::problem::{Problem, Problems};
use super::value::{Origin, Raw, Value};

/// One setting with its value and where that comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    /// None when nobody set it and it has no default.
    pub(crate) value: Option<Value>,
    /// Who set it.
    pub(crate) origin: Origin,
}

/// The value of every setting.
#[derive(Clone, Debug)]
pub(crate) struct Values(BTreeMap<&'static str, Setting>);

impl Values {
    /// The defaults.
    pub(crate) fn defaults() -> Self {
        Self(keys::all().map(|key| (key.name, default_of(key))).collect())
    }

    /// Lays the settings of one source over what is there.
    ///
    /// A source is one file, one environment or one command line; a setting that stands in it twice, under whatever
    /// names, is an error and does not depend on an order.
    pub(crate) fn lay_over(&mut self, source: Vec<(String, Option<Raw>, Origin)>, problems: &mut Problems) {
        let mut seen: BTreeMap<&'static str, Origin> = BTreeMap::new();
        for (name, raw, origin) in source {
            let Some(key) = keys::find(&name) else {
                if raw.is_some() || !keys::is_section(&name) {
                    problems.push(Problem::Unknown {
                        origin,
                        nearest: keys::nearest(&name),
                        name,
                    });
                }
                continue;
            };
            if let Some(first) = seen.insert(key.name, origin.clone()) {
                problems.push(Problem::Twice {
                    key: key.name,
                    first,
                    second: origin,
                });
                continue;
            }
            match raw
                .ok_or_else(|| "has no value; remove it or give it one".to_owned())
                .and_then(|raw| key.kind.read(&raw))
            {
                Ok(value) => {
                    self.0.insert(
                        key.name,
                        Setting {
                            value: Some(value),
                            origin,
                        },
                    );
                }
                Err(reason) => problems.push(Problem::Invalid {
                    origin,
                    key: key.name,
                    reason,
                }),
            }
        }
    }

    /// Shows what follows for a setting that nobody set.
    pub(crate) fn show_default(&mut self, name: &'static str, text: String) {
        self.0.insert(
            name,
            Setting {
                value: Some(Value::Text(text)),
                origin: Origin::Default,
            },
        );
    }

    /// The setting itself. Every name of the table is there.
    pub(crate) fn get(&self, name: &str) -> Option<&Setting> {
        self.0.get(name)
    }

    /// Where the value comes from.
    pub(crate) fn origin(&self, name: &str) -> Origin {
        self.get(name)
            .map_or(Origin::Default, |setting| setting.origin.clone())
    }

    /// Whether somebody set it.
    pub(crate) fn is_set(&self, name: &str) -> bool {
        self.origin(name).is_set()
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        match self.value(name)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn path(&self, name: &str) -> Option<PathBuf> {
        self.text(name).map(PathBuf::from)
    }

    pub(crate) fn bool(&self, name: &str) -> Option<bool> {
        match self.value(name)? {
            Value::Bool(on) => Some(*on),
            _ => None,
        }
    }

    pub(crate) fn integer(&self, name: &str) -> Option<i64> {
        match self.value(name)? {
            Value::Integer(number) => Some(*number),
            _ => None,
        }
    }

    pub(crate) fn duration(&self, name: &str) -> Option<Duration> {
        match self.value(name)? {
            Value::Duration(span) => Some(*span),
            _ => None,
        }
    }

    pub(crate) fn address(&self, name: &str) -> Option<&Address> {
        match self.value(name)? {
            Value::Address(address) => Some(address),
            _ => None,
        }
    }

    pub(crate) fn list(&self, name: &str) -> Option<&[String]> {
        match self.value(name)? {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    fn value(&self, name: &str) -> Option<&Value> {
        self.get(name).and_then(|setting| setting.value.as_ref())
    }
}

fn default_of(key: &Key) -> Setting {
    let raw = Raw::Text(key.default.to_owned());
    // A test reads every default.
    let value = if key.default.is_empty() {
        None
    } else {
        key.kind.read(&raw).ok()
    };
    Setting {
        value,
        origin: Origin::Default,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flag(name: &str, value: &str) -> (String, Option<Raw>, Origin) {
        (
            name.to_owned(),
            Some(Raw::Text(value.to_owned())),
            Origin::Flag("--set".to_owned()),
        )
    }

    #[test]
    fn later_sources_win() {
        let (mut values, mut problems) = (Values::defaults(), Problems::default());
        assert_eq!(values.integer("port"), Some(9292));
        values.lay_over(
            vec![(
                "port".to_owned(),
                Some(Raw::Text("1".to_owned())),
                Origin::Environment("X".to_owned()),
            )],
            &mut problems,
        );
        values.lay_over(vec![flag("port", "2")], &mut problems);
        assert_eq!((values.integer("port"), problems), (Some(2), Problems::default()));
        assert_eq!(values.origin("port"), Origin::Flag("--set".to_owned()));
    }

    #[test]
    fn a_setting_that_stands_twice_is_refused_under_any_of_its_names() {
        let (mut values, mut problems) = (Values::defaults(), Problems::default());
        values.lay_over(
            vec![flag("logging.level", "warn"), flag("log.level", "info")],
            &mut problems,
        );
        assert!(
            matches!(
                problems.0.as_slice(),
                [Problem::Twice {
                    key: "logging.level",
                    ..
                }]
            ),
            "{problems}"
        );
    }

    #[test]
    fn an_empty_section_is_nothing_and_an_empty_setting_is_an_error() {
        let (mut values, mut problems) = (Values::defaults(), Problems::default());
        let empty = |name: &str| (name.to_owned(), None, Origin::Flag("--set".to_owned()));
        values.lay_over(vec![empty("streams")], &mut problems);
        assert_eq!(problems, Problems::default());
        values.lay_over(vec![empty("port"), empty("zzz")], &mut problems);
        let expected = "--set: port has no value; remove it or give it one\n--set: unknown setting zzz";
        assert_eq!(problems.to_string(), expected);
    }
}
