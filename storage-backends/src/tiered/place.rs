//! Where a partition's archive lies in the bucket.

use std::fmt;

use strandline_core::PartitionId;

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
}
