//! Every setting there is. Parsing, flags, `config show`, help and the reference page are made from this table.

mod archive;
mod broker;
mod cluster;
mod nats;
mod streams;

use super::key::Key;

/// Settings that belong together.
#[derive(Debug)]
pub(crate) struct Group {
    /// The heading.
    pub(crate) title: &'static str,
    /// What one should know about all of them.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "shown on the reference page, which a test writes")
    )]
    pub(crate) about: &'static str,
    /// The settings.
    pub(crate) keys: &'static [Key],
}

/// Every setting, in the order of the reference page.
pub(crate) const GROUPS: &[Group] = &[
    Group {
        title: "Addresses and data",
        about: broker::ADDRESSES_ABOUT,
        keys: broker::ADDRESSES,
    },
    Group {
        title: "TLS of the gRPC API",
        about: broker::TLS_ABOUT,
        keys: broker::TLS,
    },
    Group {
        title: "Administration",
        about: broker::ADMIN_ABOUT,
        keys: broker::ADMIN,
    },
    Group {
        title: "Monitoring",
        about: broker::HTTP_ABOUT,
        keys: broker::HTTP,
    },
    Group {
        title: "Logging and process",
        about: broker::PROCESS_ABOUT,
        keys: broker::PROCESS,
    },
    Group {
        title: "NATS",
        about: nats::ABOUT,
        keys: nats::KEYS,
    },
    Group {
        title: "Batches and messages",
        about: streams::BATCHES_ABOUT,
        keys: streams::BATCHES,
    },
    Group {
        title: "Streams",
        about: streams::STREAMS_ABOUT,
        keys: streams::STREAMS,
    },
    Group {
        title: "Cursors",
        about: streams::CURSORS_ABOUT,
        keys: streams::CURSORS,
    },
    Group {
        title: "Plugins",
        about: streams::PLUGINS_ABOUT,
        keys: streams::PLUGINS,
    },
    Group {
        title: "Archive",
        about: archive::ABOUT,
        keys: archive::KEYS,
    },
    Group {
        title: "Encryption",
        about: streams::ENCRYPTION_ABOUT,
        keys: streams::ENCRYPTION,
    },
    Group {
        title: "Cluster",
        about: cluster::CLUSTER_ABOUT,
        keys: cluster::CLUSTER,
    },
    Group {
        title: "Features of later versions",
        about: cluster::LATER_ABOUT,
        keys: cluster::LATER,
    },
];

/// Every setting.
pub(crate) fn all() -> impl Iterator<Item = &'static Key> {
    GROUPS.iter().flat_map(|group| group.keys)
}

/// The setting of this name, or of this name in Liftbridge's first format. Case does not matter.
pub(crate) fn find(name: &str) -> Option<&'static Key> {
    let named = |key: &&Key| key.name.eq_ignore_ascii_case(name);
    let first_named = |key: &&Key| {
        key.first_name
            .is_some_and(|first| first.eq_ignore_ascii_case(name))
    };
    all().find(named).or_else(|| all().find(first_named))
}

/// Whether settings begin with this name and a dot.
pub(crate) fn is_section(name: &str) -> bool {
    let below = |full: &str| {
        let rest = full.get(name.len()..).unwrap_or_default();
        rest.starts_with('.')
            && full
                .get(..name.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(name))
    };
    all().any(|key| below(key.name) || key.first_name.is_some_and(below))
}

/// The name that a wrong one was probably meant to be.
pub(crate) fn nearest(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    nearest_of(&name, all().map(|key| key.name))
}

/// The candidate that is most like the text, if any is like it at all.
fn nearest_of<'c>(text: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    const LEAST_LIKENESS: f64 = 0.6;
    candidates
        .map(|candidate| (strsim::normalized_damerau_levenshtein(text, candidate), candidate))
        .filter(|(likeness, _)| *likeness >= LEAST_LIKENESS)
        .max_by(|(left, _), (right, _)| left.total_cmp(right))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::key::Effect;
    use super::super::value::Raw;
    use super::*;

    #[test]
    fn names_variables_and_flags_are_unique() {
        let (mut names, mut variables, mut flags) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for key in all() {
            assert!(names.insert(key.name.to_owned()), "{}", key.name);
            assert!(variables.insert(key.variable()), "{}", key.name);
            assert!(
                key.first_name.is_none_or(|name| names.insert(name.to_owned())),
                "{}",
                key.name
            );
            for flag in key
                .flag
                .iter()
                .flat_map(|flag| [flag.long].into_iter().chain(flag.aliases.iter().copied()))
            {
                assert!(flags.insert(flag), "{flag}");
            }
        }
    }

    #[test]
    fn every_default_and_every_off_value_fits_its_kind() {
        for key in all() {
            let off = match key.effect {
                Effect::NotBuilt { off, .. } => off,
                _ => &[],
            };
            for text in off
                .iter()
                .copied()
                .chain([key.default])
                .filter(|text| !text.is_empty())
            {
                assert!(
                    key.kind.read(&Raw::Text(text.to_owned())).is_ok(),
                    "{} {text}",
                    key.name
                );
            }
        }
    }

    #[test]
    fn helps_are_one_sentence_without_a_full_stop() {
        for key in all() {
            assert!(
                !key.help.is_empty() && !key.help.ends_with('.') && !key.help.contains('|'),
                "{}",
                key.name
            );
        }
    }

    #[test]
    fn a_name_of_the_first_format_finds_its_setting() {
        assert_eq!(
            find("log.retention.max.age").map(|key| key.name),
            Some("streams.retention.max.age")
        );
        assert_eq!(find("LOGGING.Level").map(|key| key.name), Some("logging.level"));
        assert!(find("nonsense").is_none());
    }

    #[test]
    fn a_wrong_name_is_answered_with_the_nearest_one() {
        assert_eq!(
            nearest("streams.retention.max.byte"),
            Some("streams.retention.max.bytes")
        );
        assert_eq!(nearest("loging.levl"), Some("logging.level"));
        assert_eq!(nearest("zzz"), None);
    }

    #[test]
    fn sections_are_beginnings_of_names() {
        assert!(is_section("streams.retention"));
        assert!(is_section("log"));
        assert!(!is_section("streams.ret"));
        assert!(!is_section("port"));
    }
}
