//! A host and a port.

use std::fmt;
use std::str::FromStr;

/// Host and port, of which the host may be left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Name or IP address, an IPv6 one without brackets; none = every interface when listening.
    pub host: Option<String>,
    /// Port; 0 = any free one when listening.
    pub port: u16,
}

impl Address {
    /// Whether the address stands for every interface of the machine.
    pub fn is_every_interface(&self) -> bool {
        matches!(self.host.as_deref(), None | Some("0.0.0.0" | "::"))
    }
}

/// What an operating system takes: no host becomes every IPv4 interface, an IPv6 host gets its brackets.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.host.as_deref().unwrap_or("0.0.0.0");
        if host.contains(':') {
            write!(f, "[{host}]:{}", self.port)
        } else {
            write!(f, "{host}:{}", self.port)
        }
    }
}

/// Reads `host:port`, `:port`, `[ipv6]:port`.
impl FromStr for Address {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidAddress {
            text: text.to_owned(),
        };
        let (host, port) = text.rsplit_once(':').ok_or_else(invalid)?;
        let port = port.parse().map_err(|_| invalid())?;
        let bare = match host.strip_prefix('[') {
            Some(rest) => rest.strip_suffix(']').ok_or_else(invalid)?,
            // More than one colon without brackets could be read in two ways.
            None if host.contains(':') => return Err(invalid()),
            None => host,
        };
        if bare.contains(|c: char| c.is_whitespace() || matches!(c, '[' | ']' | '/')) {
            return Err(invalid());
        }
        Ok(Self {
            host: Some(bare.to_owned()).filter(|host| !host.is_empty()),
            port,
        })
    }
}

/// A text that is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an address of the form host:port: {text:?}")]
pub struct InvalidAddress {
    /// The refused text.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_shown_alike() {
        for text in ["localhost:9292", "10.0.0.1:0", "[::1]:65535", "a-b.example:80"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        assert_eq!(
            ":80".parse::<Address>().unwrap(),
            Address { host: None, port: 80 }
        );
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "localhost",
            "localhost:",
            "localhost:65536",
            "localhost:-1",
            "::1:80",
            "[::1:80",
            "a b:1",
            "http://a:1",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }

    #[test]
    fn only_wildcards_stand_for_every_interface() {
        for (text, every) in [
            (":1", true),
            ("0.0.0.0:1", true),
            ("[::]:1", true),
            ("127.0.0.1:1", false),
        ] {
            assert_eq!(
                text.parse::<Address>().unwrap().is_every_interface(),
                every,
                "{text}"
            );
        }
    }
}
