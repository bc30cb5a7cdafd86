//! Settings from environment variables.

use super::keys;
use super::problem::{Problem, Problems};
use super::value::{Origin, Raw};

/// Prefixes of variables; the second is Liftbridge's.
pub(crate) const PREFIXES: [&str; 2] = ["STRANDLINE_", "LIFTBRIDGE_"];
/// Variables with our prefixes that are no settings of a broker, with what they are for.
pub(crate) const OTHER_VARIABLES: &[(&str, &str)] = &[(
    "SERVERS",
    "servers that the client commands connect to, instead of `--servers`",
)];

/// How like a setting a variable has to be to count as a misspelt one.
const MISSPELT: f64 = 0.8;

/// The settings of these variables. An empty variable counts as not set. One that looks like a misspelt setting is an
/// error; another one with our prefix may belong to whoever deploys us, so that it is only mentioned.
pub(crate) fn settings(
    variables: impl Iterator<Item = (String, String)>,
    problems: &mut Problems,
    notices: &mut Vec<String>,
) -> Vec<(String, Option<Raw>, Origin)> {
    let mut found: Vec<Variable> = Vec::new();
    let mut variables: Vec<_> = variables.filter(|(_, value)| !value.is_empty()).collect();
    variables.sort();
    for (name, value) in variables {
        let Some(rest) = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)) else {
            continue;
        };
        if is_foreign(rest, &value) {
            continue;
        }
        match keys::all().find(|key| key.variable() == rest) {
            Some(key) => add(
                &mut found,
                Variable {
                    key: key.name,
                    name,
                    value,
                },
                problems,
            ),
            None => match misspelt(rest) {
                Some(nearest) => {
                    let origin = Origin::Environment(name.clone());
                    problems.push(Problem::Unknown {
                        origin,
                        name,
                        nearest: Some(nearest),
                    });
                }
                None => notices.push(format!("environment variable {name} names no setting")),
            },
        }
    }
    found
        .into_iter()
        .map(|found| {
            (
                found.key.to_owned(),
                Some(Raw::Text(found.value)),
                Origin::Environment(found.name),
            )
        })
        .collect()
}

struct Variable {
    key: &'static str,
    name: String,
    value: String,
}

/// The same setting under both prefixes is fine as long as they agree.
fn add(found: &mut Vec<Variable>, variable: Variable, problems: &mut Problems) {
    match found.iter().find(|other| other.key == variable.key) {
        None => found.push(variable),
        Some(other) if other.value == variable.value => {}
        Some(other) => problems.push(Problem::Contradiction {
            key: variable.key,
            origin: Origin::Environment(other.name.clone()),
            other_key: variable.key,
            other_origin: Origin::Environment(variable.name),
            reason: "they hold different values; unset one".to_owned(),
        }),
    }
}

fn misspelt(rest: &str) -> Option<&'static str> {
    let name = rest.to_ascii_lowercase().replace('_', ".");
    keys::nearest(&name).filter(|nearest| strsim::normalized_damerau_levenshtein(&name, nearest) >= MISSPELT)
}

/// What is not meant for a broker: variables of the client commands, and those that Kubernetes and Docker put into every
/// container for a service called like us (`LIFTBRIDGE_PORT=tcp://10.0.0.1:9292`, `LIFTBRIDGE_SERVICE_HOST=10.0.0.1`).
fn is_foreign(rest: &str, value: &str) -> bool {
    let link = |suffix: &str| rest == suffix || rest.ends_with(&format!("_{suffix}"));
    let of_a_service = link("SERVICE_HOST") || link("SERVICE_PORT") || rest.contains("SERVICE_PORT_");
    let of_a_port = link("PORT") && value.contains("://");
    of_a_service
        || of_a_port
        || is_port_detail(rest)
        || OTHER_VARIABLES.iter().any(|(other, _)| *other == rest)
}

/// `..._PORT_9292_TCP`, `..._PORT_9292_TCP_ADDR` and the like.
fn is_port_detail(rest: &str) -> bool {
    let Some((_, detail)) = rest.split_once("PORT_") else {
        return false;
    };
    let digits = detail.trim_start_matches(|c: char| c.is_ascii_digit());
    digits.len() < detail.len() && (digits.starts_with("_TCP") || digits.starts_with("_UDP"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> (Vec<(String, String)>, Problems) {
        let mut problems = Problems::default();
        let owned = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let found = settings(owned, &mut problems, &mut Vec::new());
        let found = found.into_iter().map(|(name, raw, _)| match raw {
            Some(Raw::Text(text)) => (name, text),
            other => panic!("{other:?}"),
        });
        (found.collect(), problems)
    }

    #[test]
    fn dots_are_underscores_under_both_prefixes() {
        let (found, problems) = read(&[
            ("LIFTBRIDGE_LOGGING_LEVEL", "debug"),
            ("STRANDLINE_STREAMS_RETENTION_MAX_AGE", "24h"),
            ("HOME", "/root"),
            ("LIFTBRIDGE_HOST", ""),
        ]);
        let expected = [("logging.level", "debug"), ("streams.retention.max.age", "24h")];
        assert_eq!(
            found,
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
        assert_eq!(problems, Problems::default());
    }

    #[test]
    fn variables_of_others_with_our_prefix_are_mentioned() {
        for name in [
            "STRANDLINE_TEST_NATS_SERVER",
            "STRANDLINE_VERSION",
            "LIFTBRIDGE_IMAGE",
        ] {
            let (mut problems, mut notices) = (Problems::default(), Vec::new());
            settings(
                [(name.to_owned(), "x".to_owned())].into_iter(),
                &mut problems,
                &mut notices,
            );
            assert_eq!((problems, notices.len()), (Problems::default(), 1), "{name}");
        }
    }

    #[test]
    fn misspelt_variables_are_errors() {
        let (_, problems) = read(&[("STRANDLINE_LOGING_LEVEL", "debug")]);
        let expected = "environment variable STRANDLINE_LOGING_LEVEL: unknown setting STRANDLINE_LOGING_LEVEL; did you mean logging.level?";
        assert_eq!(problems.to_string(), expected);
    }

    /// A service named liftbridge in Kubernetes used to stop every container in its namespace: the address of the service
    /// was taken for a port number.
    #[test]
    fn variables_that_kubernetes_adds_for_services_are_passed_over() {
        let (found, problems) = read(&[
            ("LIFTBRIDGE_PORT", "tcp://10.0.0.1:9292"),
            ("LIFTBRIDGE_SERVICE_HOST", "10.0.0.1"),
            ("LIFTBRIDGE_SERVICE_PORT", "9292"),
            ("LIFTBRIDGE_SERVICE_PORT_GRPC", "9292"),
            ("LIFTBRIDGE_PORT_9292_TCP_ADDR", "10.0.0.1"),
            ("LIFTBRIDGE_0_PORT_9292_TCP", "tcp://10.0.0.1:9292"),
            ("STRANDLINE_SERVERS", "a:1"),
        ]);
        assert_eq!((found, problems), (Vec::new(), Problems::default()));
        assert_eq!(
            read(&[("LIFTBRIDGE_PORT", "9393")]).0,
            [("port".to_owned(), "9393".to_owned())]
        );
    }

    #[test]
    fn both_prefixes_may_agree_and_must_not_differ() {
        let (found, problems) = read(&[("STRANDLINE_PORT", "1"), ("LIFTBRIDGE_PORT", "1")]);
        assert_eq!((found.len(), problems), (1, Problems::default()));
        let (_, problems) = read(&[("STRANDLINE_PORT", "1"), ("LIFTBRIDGE_PORT", "2")]);
        assert!(
            problems.to_string().contains("STRANDLINE_PORT")
                && problems.to_string().contains("LIFTBRIDGE_PORT")
        );
    }

    #[test]
    fn liftbridges_master_key_is_a_setting() {
        let (found, problems) = read(&[("LIFTBRIDGE_ENCRYPTION_KEY", "0123456789abcdef")]);
        let expected = ("encryption.key".to_owned(), "0123456789abcdef".to_owned());
        assert_eq!((found, problems), (vec![expected], Problems::default()));
        let differ = [
            ("LIFTBRIDGE_ENCRYPTION_KEY", "0123456789abcdef"),
            ("STRANDLINE_ENCRYPTION_KEY", "fedcba9876543210"),
        ];
        let text = read(&differ).1.to_string();
        assert!(
            text.contains("different values") && !text.contains("cdef"),
            "{text}"
        );
    }
}
