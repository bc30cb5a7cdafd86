//! Doors that would be in each other's way.

use strandline_broker::settings::{NatsMode, Settings};

use super::problem::{Problem, Problems};
use super::values::Values;

/// A door of the broker.
struct Listener {
    /// The setting that says where it is.
    key: &'static str,
    /// None = every address of the machine.
    host: Option<String>,
    port: u16,
}

/// Two doors cannot have one port, unless they are at different addresses.
pub(crate) fn check(settings: &Settings, values: &Values, problems: &mut Problems) {
    let doors = listeners(settings, values);
    for (at, one) in doors.iter().enumerate() {
        let before = doors[..at].iter();
        let Some(other) = before.into_iter().find(|other| one.is_in_the_way_of(other)) else {
            continue;
        };
        problems.push(Problem::Contradiction {
            key: other.key,
            origin: values.origin(other.key),
            other_key: one.key,
            other_origin: values.origin(one.key),
            reason: format!(
                "both would listen on port {}; choose another for one of them",
                one.port
            ),
        });
    }
}

fn listeners(settings: &Settings, values: &Values) -> Vec<Listener> {
    let is_set = |key: &str| values.is_set(key);
    let mut found = vec![Listener {
        key: if is_set("listen") { "listen" } else { "port" },
        host: specific(settings.listen.host.as_deref()),
        port: settings.listen.port,
    }];
    if let NatsMode::Embedded(options) = &settings.nats {
        found.push(Listener {
            key: if is_set("nats.embedded.config") && !is_set("nats.embedded.listen") {
                "nats.embedded.config"
            } else {
                "nats.embedded.listen"
            },
            host: specific(Some(&options.host)),
            port: options.port,
        });
    }
    if let Some(http) = &settings.http_listen {
        found.push(Listener {
            key: "http.listen",
            host: specific(http.host.as_deref().or(Some("127.0.0.1"))),
            port: http.port,
        });
    }
    found
}

fn specific(host: Option<&str>) -> Option<String> {
    let host = host.map(|host| host.trim_matches(['[', ']']));
    host.filter(|host| !["", "0.0.0.0", "::"].contains(host))
        .map(str::to_owned)
}

impl Listener {
    fn is_in_the_way_of(&self, other: &Self) -> bool {
        let same_host = self.host.is_none() || other.host.is_none() || self.host == other.host;
        // Port 0 is another free one each time.
        self.port == other.port && self.port != 0 && same_host
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(host: Option<&str>, port: u16) -> Listener {
        Listener {
            key: "listen",
            host: specific(host),
            port,
        }
    }

    #[test]
    fn one_port_is_for_one_door_at_each_address() {
        let meet = |one: (Option<&str>, u16), other: (Option<&str>, u16)| {
            listener(one.0, one.1).is_in_the_way_of(&listener(other.0, other.1))
        };
        assert!(meet((None, 1), (Some("127.0.0.1"), 1)) && meet((Some("[::]"), 1), (Some("0.0.0.0"), 1)));
        assert!(meet((Some("[::1]"), 1), (Some("::1"), 1)));
        assert!(!meet((Some("127.0.0.1"), 1), (Some("127.0.0.2"), 1)));
        assert!(!meet((None, 1), (None, 2)) && !meet((None, 0), (None, 0)));
    }
}
