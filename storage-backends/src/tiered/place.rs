//! Where a partition's archive lies in the bucket.

use std::fmt;

use strandline_core::PartitionId;
use strandline_core::metadata::PlaceRoot;

use super::bucket::{Bucket, BucketError, Listed};

/// Objects of a place that a listing takes in.
const MOST_LISTED: usize = 4_000_000;

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

    /// The place that is shown like this, `<cluster>/<stream>.<incarnation>/<partition>`; none if it is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let (root, partition) = text.rsplit_once('/')?;
        let place = Self {
            root: PlaceRoot::new(root).ok()?.into(),
            partition: PartitionId::new(partition.parse().ok()?),
        };
        // One text a place: no sign and no zeros before the number.
        (place.to_string() == text).then_some(place)
    }

    /// The key of an object by its name within the place, such as `HEAD` or an entry's.
    pub fn key(&self, name: &str) -> String {
        format!("{self}/{name}")
    }

    /// All that is in the place, whoever put it there.
    pub(super) async fn list(&self, bucket: &Bucket) -> Result<Vec<Listed>, BucketError> {
        bucket.list(&self.to_string(), MOST_LISTED).await
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

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn only_what_a_place_is_shown_as_is_one() {
        let place = Place::parse("c/s.1/3").unwrap();
        assert_eq!((place.root.as_str(), place.partition.get()), ("c/s.1", 3));
        for text in [
            "",
            "c",
            "c/s.1",
            "c/s.1/",
            "c/s.1/+3",
            "c/s.1/03",
            "c/../3",
            "c/s.1/0/3",
            "/s.1/3",
        ] {
            assert_eq!(Place::parse(text), None, "{text}");
        }
    }
}
