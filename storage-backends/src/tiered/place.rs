//! Where a partition's archive lies in the bucket.

use std::fmt;

use strandline_core::{LogId, PartitionId, StreamName};

/// One partition's part of a bucket.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// `<cluster>/<stream>.<incarnation>`, as the metadata keeps it.
    pub root: String,
    /// The partition.
    pub partition: PartitionId,
}

impl Place {
    /// Name of the one object that is replaced.
    pub const HEAD: &str = "HEAD";

    /// The root of a stream: unique to this incarnation of its name, which is the log id of its first partition.
    pub fn root_of(cluster: &str, stream: &StreamName, incarnation: LogId) -> String {
        format!("{}/{}.{incarnation}", encoded(cluster), encoded(stream.as_str()))
    }

    /// The key of an object by its name within the place, such as `HEAD` or an entry's.
    pub fn key(&self, name: &str) -> String {
        format!("{self}/{name}")
    }

    /// The name within the place of an object with this key.
    pub fn name_of<'a>(&self, key: &'a str) -> Option<&'a str> {
        key.strip_prefix(&self.to_string())?.strip_prefix('/')
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.root, self.partition)
    }
}

/// The text with all that is not safe in every store and file system as `%` and two hex digits.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_safe_and_stay_different() {
        let root = |name: &str| Place::root_of("c", &StreamName::new(name).unwrap(), LogId::new(7));
        assert_eq!(root("orders.eu-1"), "c/orders.eu-1.7");
        assert_eq!(root("ä b%20"), "c/%C3%A4%20b%2520.7");
        assert_ne!(root("a b"), root("a%20b"));
    }

    #[test]
    fn a_key_gives_its_name_back() {
        let place = Place {
            root: "c/s.1".to_owned(),
            partition: PartitionId::new(3),
        };
        assert_eq!(place.key("HEAD"), "c/s.1/3/HEAD");
        assert_eq!(place.name_of("c/s.1/3/segments/x"), Some("segments/x"));
        assert_eq!(place.name_of("c/s.1/30/HEAD"), None);
    }
}
