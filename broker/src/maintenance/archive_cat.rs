//! Which archive a name means, and what unpacks its batches: the bucket alone says both.

use strandline_codec::{MasterKeys, UnpackError, Unpacker};
use strandline_core::StreamName;
use strandline_core::metadata::{ClusterId, DataKey, State};
use strandline_core::record::Batch;
use strandline_storage_backends::tiered::survey::Survey;
use strandline_storage_backends::tiered::{BucketError, Place};

use crate::archiving::ClusterManifest;
use crate::streams::describe;

/// Why there is nothing to be read.
#[derive(Debug, thiserror::Error)]
pub enum CatError {
    /// The bucket cannot be asked.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// Nothing in the bucket has this name.
    #[error("{url} holds no archive of {target}; `strandline archive list` shows what there is")]
    Nothing {
        /// The bucket.
        url: String,
        /// What was asked for.
        target: String,
    },
    /// Several things have this name.
    #[error("{target} can be several archives, say which: {}", places.join(", "))]
    Several {
        /// What was asked for.
        target: String,
        /// The places.
        places: Vec<String>,
    },
}

/// An archive that was found, and what reads it.
#[derive(Debug)]
pub struct CatSource {
    /// Where it is.
    pub place: Place,
    /// The stream's name, as far as it is known.
    pub stream: String,
    unpacker: Unpacker,
    /// Why encrypted batches cannot be read.
    keyless: Option<String>,
}

/// A stream of a cluster that the bucket was told of.
struct Known {
    root: String,
    name: StreamName,
    keys: Vec<DataKey>,
}

impl CatSource {
    /// Finds the archive of `CLUSTER/STREAM.NUMBER/PARTITION`, or of a stream's name and a partition. A stream that was created
    /// again counts as its newest self.
    ///
    /// # Errors
    ///
    /// There is none, there are several, or the bucket cannot be asked.
    pub async fn find(
        survey: &Survey,
        target: &str,
        partition: u32,
        masters: &MasterKeys,
    ) -> Result<Self, CatError> {
        let known = known(survey).await?;
        let places = survey.places().await?;
        let place = choose(&known, places, target, partition).map_err(|found| match found.as_slice() {
            [] => CatError::Nothing {
                url: survey.bucket().url().to_owned(),
                target: target.to_owned(),
            },
            several => CatError::Several {
                target: target.to_owned(),
                places: several.iter().map(ToString::to_string).collect(),
            },
        })?;
        Ok(Self::of(place, known, masters))
    }

    fn of(place: Place, known: Vec<Known>, masters: &MasterKeys) -> Self {
        // A cluster that was restored has the keys of the one before, and its own.
        let mut users = known
            .into_iter()
            .filter(|known| known.root == place.root)
            .collect::<Vec<_>>();
        users.sort_by_key(|known| std::cmp::Reverse(known.keys.len()));
        let stream = users
            .first()
            .map_or_else(|| stem(&place.root).to_owned(), |known| known.name.to_string());
        let (mut ciphers, mut keyless) = (Vec::new(), None);
        if users.is_empty() {
            keyless = Some(
                "no cluster in the bucket has this stream any more, and with it went its keys".to_owned(),
            );
        }
        for known in users {
            match masters.open(&known.name, &known.keys) {
                Ok(opened) => ciphers.extend(opened),
                Err(error) => keyless = Some(error.to_string()),
            }
        }
        Self {
            unpacker: Unpacker::new(place.partition, ciphers),
            stream,
            place,
            keyless,
        }
    }

    /// The plain form of a batch.
    ///
    /// # Errors
    ///
    /// Says what is in the way: a key, or damage.
    pub fn unpack(&self, batch: &Batch) -> Result<Batch, String> {
        self.unpacker.unpack(batch).map_err(|error| match (&error, &self.keyless) {
            (UnpackError::UnknownKey { base, .. }, Some(reason)) => {
                format!("the batch at offset {base} is encrypted: {reason}; the configuration (--config) names the master key")
            }
            _ => error.to_string(),
        })
    }
}

/// The streams of all clusters that the bucket was told of. One whose word cannot be read is passed over: its archives can.
async fn known(survey: &Survey) -> Result<Vec<Known>, BucketError> {
    let mut known = Vec::new();
    for cluster in ClusterManifest::candidates(survey.bucket()).await? {
        match state(survey, &cluster).await {
            Ok(Some(state)) => known.extend(streams(&state)),
            Ok(None) => {}
            Err(reason) => {
                tracing::debug!(%cluster, %reason, "the bucket's word on a cluster cannot be read");
            }
        }
    }
    Ok(known)
}

async fn state(survey: &Survey, cluster: &ClusterId) -> Result<Option<State>, String> {
    let manifest = match ClusterManifest::load(survey.bucket(), cluster).await {
        Err(error) if error.is_missing() => return Ok(None),
        loaded => loaded.map_err(|error| describe(&error))?.0,
    };
    let state = manifest.state(survey.bucket()).await;
    state.map(Some).map_err(|error| describe(&error))
}

fn streams(state: &State) -> Vec<Known> {
    let known = state.streams().filter_map(|entry| {
        Some(Known {
            root: entry.archive.as_ref()?.root.to_string(),
            name: entry.definition.name.clone(),
            keys: entry.keys.clone(),
        })
    });
    known.collect()
}

/// The one place that is meant, or those that it could be.
fn choose(known: &[Known], places: Vec<Place>, target: &str, partition: u32) -> Result<Place, Vec<Place>> {
    let exact = places.iter().find(|place| place.to_string() == target);
    if let Some(place) = exact {
        return Ok(place.clone());
    }
    let of_partition: Vec<_> = places
        .into_iter()
        .filter(|place| place.partition.get() == partition)
        .collect();
    let named = |place: &&Place| {
        place.root == target
            || known
                .iter()
                .any(|known| known.root == place.root && known.name.as_str() == target)
    };
    let mut found: Vec<_> = of_partition.iter().filter(named).cloned().collect();
    if found.is_empty() {
        // Of a stream that was deleted only the place's name is left.
        let is_left = |place: &&Place| stem(&place.root) == target;
        found = of_partition.iter().filter(is_left).cloned().collect();
    }
    match <[Place; 1]>::try_from(found) {
        Ok([place]) => Ok(place),
        Err(several) => Err(several),
    }
}

/// What a place is called: the stream's name as far as it is not escaped.
fn stem(root: &str) -> &str {
    let name = root.rsplit_once('/').map_or(root, |(_, name)| name);
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

#[cfg(test)]
mod tests {
    use strandline_core::PartitionId;

    use super::*;

    fn place(root: &str, partition: u32) -> Place {
        Place {
            root: root.to_owned(),
            partition: PartitionId::new(partition),
        }
    }

    fn known(root: &str, name: &str) -> Known {
        Known {
            root: root.to_owned(),
            name: StreamName::new(name).unwrap(),
            keys: Vec::new(),
        }
    }

    fn chosen(target: &str, partition: u32) -> Result<String, usize> {
        let places = ["c/orders.1", "c/orders.7", "c/a%20b.2", "c/gone.3", "d/gone.4"];
        let places = places.map(|root| [place(root, 0), place(root, 1)]).concat();
        let known = [known("c/orders.7", "orders"), known("c/a%20b.2", "a b")];
        let found = choose(&known, places, target, partition);
        found.map(|place| place.to_string()).map_err(|found| found.len())
    }

    #[test]
    fn archives_are_found_by_place_and_by_the_name_that_their_stream_has_or_had() {
        assert_eq!(chosen("c/orders.1/1", 0), Ok("c/orders.1/1".to_owned()));
        assert_eq!(chosen("c/orders.1", 1), Ok("c/orders.1/1".to_owned()));
        // The newest self of a stream that was created again.
        assert_eq!(chosen("orders", 1), Ok("c/orders.7/1".to_owned()));
        assert_eq!(chosen("a b", 0), Ok("c/a%20b.2/0".to_owned()));
        assert_eq!(chosen("gone", 0), Err(2));
        assert_eq!(chosen("nothing", 0), Err(0));
        assert_eq!(chosen("orders", 9), Err(0));
    }
}
