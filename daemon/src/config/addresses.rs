//! Where the gRPC API listens and what clients are told.

use strandline_broker::settings::Address;

use super::problem::{Problem, Problems};
use super::values::Values;

/// The two addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Addresses {
    /// Where the API listens.
    pub(crate) listen: Address,
    /// What clients are told; none = what is listened on.
    pub(crate) advertise: Option<Address>,
}

/// Liftbridge's rules. A port that they would ignore is an error.
pub(crate) fn addresses(values: &Values, problems: &mut Problems, notices: &mut Vec<String>) -> Addresses {
    let host = values.text("host").map(bare_host);
    let port = values
        .integer("port")
        .and_then(|port| u16::try_from(port).ok())
        .unwrap_or_default();
    let Some(listen) = values.address("listen").cloned() else {
        return Addresses {
            listen: Address { host, port },
            advertise: None,
        };
    };
    let Some(host) = host else {
        if values.is_set("port") && port != listen.port {
            problems.push(Problem::Contradiction {
                key: "listen",
                origin: values.origin("listen"),
                other_key: "port",
                other_origin: values.origin("port"),
                reason: format!(
                    "with listen = {listen}, port {port} would be neither listened on nor told to clients; remove port, or set host too if clients are to be told another address"
                ),
            });
        }
        return Addresses {
            listen,
            advertise: None,
        };
    };
    if !values.is_set("port") && port != listen.port {
        notices.push(format!(
            "clients are told {host}:{port} while the broker listens on port {}; set port if that is not meant",
            listen.port
        ));
    }
    Addresses {
        listen,
        advertise: Some(Address {
            host: Some(host),
            port,
        }),
    }
}

/// An IPv6 address may have come in brackets.
fn bare_host(host: &str) -> String {
    host.strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(host)
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::value::{Origin, Raw};
    use super::*;

    struct Outcome {
        listen: String,
        advertise: Option<String>,
        notices: usize,
        problems: Problems,
    }

    fn resolve(settings: &[(&str, &str)]) -> Outcome {
        let (mut values, mut problems, mut notices) = (Values::defaults(), Problems::default(), Vec::new());
        let flag = |(name, text): &(&str, &str)| {
            (
                (*name).to_owned(),
                Some(Raw::Text((*text).to_owned())),
                Origin::Flag("--set".to_owned()),
            )
        };
        values.lay_over(settings.iter().map(flag).collect(), &mut problems);
        let found = addresses(&values, &mut problems, &mut notices);
        let advertise = found.advertise.map(|address| address.to_string());
        Outcome {
            listen: found.listen.to_string(),
            advertise,
            notices: notices.len(),
            problems,
        }
    }

    #[test]
    fn listen_and_host_combine_as_with_liftbridge() {
        let (listen, host, port) = (
            ("listen", "192.168.0.1:4222"),
            ("host", "my-host"),
            ("port", "4333"),
        );
        type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, Option<&'a str>);
        let cases: [Case<'_>; 6] = [
            (&[], "0.0.0.0:9292", None),
            (&[port], "0.0.0.0:4333", None),
            (&[host, port], "my-host:4333", None),
            (&[listen], "192.168.0.1:4222", None),
            (&[listen, host, port], "192.168.0.1:4222", Some("my-host:4333")),
            (&[listen, host], "192.168.0.1:4222", Some("my-host:9292")),
        ];
        for (settings, expected_listen, advertise) in cases {
            let outcome = resolve(settings);
            assert_eq!(
                (outcome.listen.as_str(), outcome.advertise.as_deref()),
                (expected_listen, advertise)
            );
            assert_eq!(outcome.problems, Problems::default());
        }
    }

    #[test]
    fn a_default_port_beside_a_listened_one_is_pointed_out() {
        assert_eq!(resolve(&[("listen", "a:4222"), ("host", "b")]).notices, 1);
        assert_eq!(
            resolve(&[("listen", "a:4222"), ("host", "b"), ("port", "9292")]).notices,
            0
        );
    }

    #[test]
    fn a_port_that_would_be_ignored_is_a_contradiction() {
        let outcome = resolve(&[("listen", "a:4222"), ("port", "9393")]);
        assert!(matches!(
            outcome.problems.0.as_slice(),
            [Problem::Contradiction {
                key: "listen",
                other_key: "port",
                ..
            }]
        ));
        assert_eq!(
            resolve(&[("listen", "a:4222"), ("port", "4222")]).problems,
            Problems::default()
        );
    }

    #[test]
    fn brackets_around_an_ipv6_host_are_taken_off() {
        assert_eq!(resolve(&[("host", "[::1]")]).listen, "[::1]:9292");
        assert_eq!(resolve(&[("host", "::1")]).listen, "[::1]:9292");
    }
}
