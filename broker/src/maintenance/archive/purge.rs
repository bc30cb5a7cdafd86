//! Which places of a bucket some cluster still needs, and removing those that none does.
//!
//! Streams that were restored go on in places of the cluster that they come from. So every cluster of the bucket is asked.

use std::collections::BTreeMap;

use strandline_core::metadata::PlaceRoot;
use strandline_core::{Clock as _, PartitionId};
use strandline_storage_backends::tiered::purge as objects;
use strandline_storage_backends::tiered::purge::Contents;
use strandline_storage_backends::tiered::{ArchiveError, BucketError, Place, PointError};

use super::Survey;
use crate::archiving::{ClusterManifest, ManifestError, named_places};
use crate::clock::SystemClock;
use crate::streams::describe;

/// What the clusters of a bucket say that they need.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uses {
    /// Clusters by the place that they name.
    places: BTreeMap<String, Vec<String>>,
    /// Clusters whose word cannot be had, and why.
    unreadable: BTreeMap<String, String>,
    /// Directories of the bucket that no cluster has left its word in.
    silent: Vec<String>,
}

impl Uses {
    /// The clusters that need a place, `<cluster>/<stream>.<number>`; none when that cannot be told, since one of the bucket's clusters
    /// cannot be asked.
    pub fn of(&self, root: &str) -> Option<&[String]> {
        match self.places.get(root) {
            Some(clusters) => Some(clusters),
            None if self.unreadable.is_empty() && !self.is_silent(root) => Some(&[]),
            None => None,
        }
    }

    /// Whether the cluster that has given a place does not say what it needs.
    fn is_silent(&self, root: &str) -> bool {
        let cluster = root.split_once('/').map_or(root, |(cluster, _)| cluster);
        self.silent.iter().any(|silent| silent == cluster)
    }
}

/// Asks every cluster of a bucket which places it needs, but those that are known to be gone for good.
///
/// # Errors
///
/// The bucket cannot be asked.
pub async fn uses(survey: &Survey, dead: &[String]) -> Result<Uses, BucketError> {
    let mut uses = Uses::default();
    for id in ClusterManifest::candidates(survey.bucket()).await? {
        let cluster = id.to_string();
        if dead.contains(&cluster) {
            continue;
        }
        match named_places(survey.bucket(), &id).await {
            Ok(places) => {
                for place in places {
                    uses.places.entry(place).or_default().push(cluster.clone());
                }
            }
            Err(error) if error.is_missing_manifest(&id) => uses.silent.push(cluster),
            Err(ManifestError::Bucket(error)) if !matches!(error, BucketError::NotFound { .. }) => {
                return Err(error);
            }
            Err(error) => {
                uses.unreadable.insert(cluster, describe(&error));
            }
        }
    }
    Ok(uses)
}

/// A partition's archive that is to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doomed {
    /// Where it is.
    pub place: Place,
    /// What there is.
    pub contents: Contents,
}

/// Why an archive is not purged.
#[derive(Debug, thiserror::Error)]
pub enum PurgeError {
    /// It is no place.
    #[error(
        "{root:?} is not a place: name it as `strandline archive list` does, CLUSTER/STREAM.NUMBER without the partition"
    )]
    NoPlace {
        /// What was given.
        root: String,
    },
    /// There is nothing.
    #[error("there is nothing in {root}")]
    Nothing {
        /// The place.
        root: String,
    },
    /// A stream is archived there.
    #[error(
        "{root} is in use: a stream of cluster {cluster} is archived there; delete the stream first, or say that the cluster \
         is gone for good with --dead-cluster {cluster}"
    )]
    InUse {
        /// The place.
        root: String,
        /// The cluster.
        cluster: String,
    },
    /// A cluster's word cannot be had.
    #[error(
        "what cluster {cluster} needs cannot be told: {reason}; restore its manifest, or say that the cluster is gone for good \
         with --dead-cluster {cluster}"
    )]
    Unreadable {
        /// The cluster.
        cluster: String,
        /// What is wrong.
        reason: String,
    },
    /// The place's own cluster has no manifest.
    #[error(
        "cluster {cluster} does not say what it needs, {cluster}/CLUSTER is not there; if the cluster is gone for good say so \
         with --dead-cluster {cluster}"
    )]
    Silent {
        /// The cluster.
        cluster: String,
    },
    /// Somebody wants to come back to it.
    #[error("{place} is held by named points: {}; remove them first", points.join(", "))]
    Points {
        /// The partition's place.
        place: String,
        /// Their names.
        points: Vec<String>,
    },
    /// The archive.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// Another place has lent to it.
    #[error(transparent)]
    Point(#[from] PointError),
}

impl From<BucketError> for PurgeError {
    fn from(error: BucketError) -> Self {
        ArchiveError::from(error).into()
    }
}

/// What would go with a place. `dead` are clusters that are gone for good.
///
/// # Errors
///
/// Somebody needs it, or may; there is nothing; or the bucket cannot be asked.
pub async fn plan_purge(survey: &Survey, root: &str, dead: &[String]) -> Result<Vec<Doomed>, PurgeError> {
    let root = PlaceRoot::new(root).map_err(|invalid| PurgeError::NoPlace { root: invalid.root })?;
    let root = root.as_str();
    check_unused(&uses(survey, dead).await?, root)?;
    let mut doomed = Vec::new();
    for directory in survey.bucket().directories(root).await? {
        let Ok(number) = directory.parse() else { continue };
        let place = Place {
            root: root.to_owned(),
            partition: PartitionId::new(number),
        };
        let contents = objects::look(survey.bucket(), &place).await?;
        if !contents.points.is_empty() {
            return Err(held(&place, contents.points));
        }
        if contents.objects > 0 {
            doomed.push(Doomed { place, contents });
        }
    }
    if doomed.is_empty() {
        let root = root.to_owned();
        return Err(PurgeError::Nothing { root });
    }
    Ok(doomed)
}

/// Deletes what was planned, and tells the bytes of each object. First every HEAD says so, which keeps others off; a stream that
/// came back to such a place in between is found then, and nothing is deleted.
///
/// # Errors
///
/// As [`plan_purge`]. What was deleted by then is gone; it can be repeated.
pub async fn purge(
    survey: &Survey,
    doomed: &[Doomed],
    dead: &[String],
    deleted: &mut (dyn FnMut(u64) + Send),
) -> Result<(), PurgeError> {
    for one in doomed {
        if !objects::mark(survey.bucket(), &one.place, true).await? {
            let points = objects::look(survey.bucket(), &one.place).await?.points;
            unmark(survey, doomed).await?;
            return Err(held(&one.place, points));
        }
    }
    let uses = uses(survey, dead).await?;
    for one in doomed {
        if let Err(error) = check_unused(&uses, &one.place.root) {
            unmark(survey, doomed).await?;
            return Err(error);
        }
    }
    for one in doomed {
        objects::purge(survey.bucket(), &one.place, SystemClock.now(), deleted).await?;
    }
    Ok(())
}

async fn unmark(survey: &Survey, doomed: &[Doomed]) -> Result<(), PurgeError> {
    // What was begun before is half deleted: it stays marked.
    for one in doomed.iter().filter(|one| !one.contents.is_begun) {
        objects::mark(survey.bucket(), &one.place, false).await?;
    }
    Ok(())
}

fn held(place: &Place, points: Vec<String>) -> PurgeError {
    PurgeError::Points {
        place: place.to_string(),
        points,
    }
}

fn check_unused(uses: &Uses, root: &str) -> Result<(), PurgeError> {
    if let Some(cluster) = uses.places.get(root).and_then(|clusters| clusters.first()) {
        return Err(PurgeError::InUse {
            root: root.to_owned(),
            cluster: cluster.clone(),
        });
    }
    if let Some((cluster, reason)) = uses.unreadable.first_key_value() {
        return Err(PurgeError::Unreadable {
            cluster: cluster.clone(),
            reason: reason.clone(),
        });
    }
    if uses.is_silent(root) {
        let cluster = root.split_once('/').map_or(root, |(cluster, _)| cluster);
        let cluster = cluster.to_owned();
        return Err(PurgeError::Silent { cluster });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uses() -> Uses {
        Uses {
            places: BTreeMap::from([("a/s.1".to_owned(), vec!["b".to_owned()])]),
            unreadable: BTreeMap::new(),
            silent: vec!["c".to_owned()],
        }
    }

    #[test]
    fn a_place_is_unused_once_every_cluster_says_so() {
        let uses = uses();
        assert_eq!(uses.of("a/s.1"), Some(&["b".to_owned()][..]));
        assert_eq!(uses.of("a/s.2"), Some(&[][..]));
        assert_eq!(uses.of("c/s.2"), None, "nobody knows");
        assert!(check_unused(&uses, "a/s.2").is_ok());
        let in_use = check_unused(&uses, "a/s.1").unwrap_err().to_string();
        assert!(in_use.contains("--dead-cluster b"), "{in_use}");
        let silent = check_unused(&uses, "c/s.2").unwrap_err().to_string();
        assert!(silent.contains("c/CLUSTER"), "{silent}");
    }

    #[test]
    fn one_cluster_that_cannot_be_asked_is_reason_enough_to_keep_everything() {
        let mut uses = uses();
        uses.unreadable
            .insert("d".to_owned(), "d/CLUSTER is damaged".to_owned());
        let refused = check_unused(&uses, "a/s.2").unwrap_err().to_string();
        assert!(refused.contains("d/CLUSTER is damaged"), "{refused}");
        assert_eq!(uses.of("a/s.2"), None);
    }
}
