//! A cluster's streams, plugins and cursors out of the bucket.
//!
//! Nothing is copied: a restored stream goes on in the place where it is archived, under leader epochs above all that the
//! archive knows, so that a broker of the cluster that wrote it is fenced off. Its log begins here where its archive ends; what
//! lies before is read from the archive. Each stream is restored as a whole or not at all, and says why.
//!
//! As of a point or a time, or under another name, a stream is [copied](super::copy) instead.

use std::sync::Arc;

use futures_util::{StreamExt as _, stream};

use strandline_core::metadata::ClusterId;
use strandline_core::subject::SubjectFilter;
use strandline_core::{Offset, StreamName, Timestamp};
use strandline_storage_backends::tiered::BucketError;

use super::super::NoArchive;
use super::manifest::{ManifestError, StoredCursor};
use super::plugins::{RestoredPlugins, restore_plugins};
use super::point::PointFailure;
use super::source::{Source, chosen, own_of, the_other_cluster};
use crate::context::Context;
use crate::cursors::{self, CursorKey};
use crate::streams::describe;

/// Requests for HEADs, and stores of cursors, that are under way at the same time.
pub(super) const AT_ONCE: usize = 16;

/// What is to be restored.
#[derive(Clone, Debug, Default)]
pub(crate) struct Restore {
    /// Of which cluster; none = the only other one in the bucket.
    pub(crate) cluster: Option<ClusterId>,
    /// Only these streams, without plugins and cursors; empty = everything.
    pub(crate) streams: Vec<StreamName>,
    /// As of this point.
    pub(crate) point: Option<String>,
    /// Each partition up to the last batch whose records are not later.
    pub(crate) to: Option<Timestamp>,
    /// The one stream under this name.
    pub(crate) new_name: Option<StreamName>,
    /// The one stream on this subject.
    pub(crate) subject: Option<SubjectFilter>,
    /// Only say what would be restored.
    pub(crate) only_look: bool,
    /// Who asks.
    pub(crate) by: String,
}

impl Restore {
    /// Whether streams get places of their own, so that those that they are restored from go on.
    pub(super) fn copies(&self) -> bool {
        self.point.is_some() || self.to.is_some() || self.new_name.is_some()
    }

    fn check(&self) -> Result<(), RestoreError> {
        let has_one = self.new_name.is_none() || self.streams.len() == 1;
        if !has_one || (self.subject.is_some() && self.new_name.is_none()) {
            return Err(RestoreError::NotOne);
        }
        Ok(())
    }
}

/// What was restored, or would be.
#[derive(Debug)]
pub(crate) struct Restored {
    pub(crate) cluster: ClusterId,
    /// When the cluster last told the archive of its streams, plugins and cursors.
    pub(crate) written: Timestamp,
    pub(crate) streams: Vec<RestoredStream>,
    pub(crate) plugins: RestoredPlugins,
    /// How many.
    pub(crate) cursors: u64,
    /// How many could not be stored, and why the first of them.
    pub(crate) failed_cursors: Option<(u64, String)>,
}

/// What became of a stream.
#[derive(Debug)]
pub(crate) struct RestoredStream {
    pub(crate) name: StreamName,
    pub(crate) partitions: Vec<ArchivedRange>,
    /// Why it was not restored.
    pub(crate) problem: Option<String>,
}

/// What the archive has of a partition.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ArchivedRange {
    pub(crate) start: Offset,
    pub(crate) end: Offset,
    pub(crate) last_time: Option<Timestamp>,
}

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RestoreError {
    /// There is nowhere to restore from.
    #[error(transparent)]
    NoArchive(#[from] NoArchive),
    /// The bucket has no other cluster.
    #[error("{url} holds no cluster that could be restored")]
    NoCluster { url: String },
    /// The bucket has several.
    #[error("{url} holds several clusters, say which: {}", clusters.join(", "))]
    SeveralClusters { url: String, clusters: Vec<String> },
    /// It is this one.
    #[error(
        "cluster {cluster} is the one that this broker serves: there is nothing to restore from it but copies of streams that \
         are named, under other names (--as)"
    )]
    Itself { cluster: ClusterId },
    /// It has no such stream.
    #[error("cluster {cluster} had no stream {stream} when it last told the archive")]
    NoSuchStream { cluster: ClusterId, stream: StreamName },
    /// A name for several streams, or a subject without a name.
    #[error("another name (--as) needs exactly one stream, and another subject another name")]
    NotOne,
    /// There is no such point.
    #[error(transparent)]
    Point(#[from] PointFailure),
    /// What the bucket says of it cannot be had.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

impl From<BucketError> for RestoreError {
    fn from(error: BucketError) -> Self {
        ManifestError::from(error).into()
    }
}

/// Restores what is asked for.
///
/// Cancel safety: not safe; to be called from a task of its own. What was restored until then stays.
///
/// # Errors
///
/// Nothing was restored. What keeps single streams, plugins or cursors from being restored is said of each of them.
pub(crate) async fn restore(context: &Arc<Context>, wanted: Restore) -> Result<Restored, RestoreError> {
    wanted.check()?;
    let bucket = context.archives.bucket().ok_or(NoArchive)?;
    let cluster = match wanted.cluster.clone().or_else(|| own_of(context, &wanted)) {
        Some(cluster) => cluster,
        None => the_other_cluster(context, &bucket).await?,
    };
    let source = Source::load(context, &bucket, &cluster, &wanted).await?;
    let entries = chosen(&source.state, &cluster, &wanted.streams)?;
    let mut restored = Restored {
        cluster,
        written: source.written,
        streams: Vec::with_capacity(entries.len()),
        plugins: RestoredPlugins::default(),
        cursors: 0,
        failed_cursors: None,
    };
    for entry in entries {
        let stream = source.restore_stream(context, (&bucket, &wanted), &entry).await;
        restored.streams.push(stream);
    }
    if wanted.streams.is_empty() {
        let mut cursors = source.cursors(&bucket).await?;
        if wanted.copies() {
            set_back(&mut cursors, &restored.streams);
        }
        if wanted.only_look {
            restored.plugins = RestoredPlugins::of(&source.state);
            restored.cursors = cursors.len() as u64;
        } else {
            let from = (&restored.cluster, &source.state);
            restored.plugins = restore_plugins(context, &bucket, from, &wanted.by).await;
            (restored.cursors, restored.failed_cursors) = restore_cursors(context, cursors).await;
        }
    }
    Ok(restored)
}

/// Sets cursors beyond the end of what was restored back to its last record, which is there.
fn set_back(cursors: &mut [StoredCursor], streams: &[RestoredStream]) {
    for cursor in cursors {
        let stream = streams
            .iter()
            .find(|stream| stream.name.as_str() == cursor.stream);
        let partition = usize::try_from(cursor.partition).ok();
        let range = stream
            .zip(partition)
            .and_then(|(stream, at)| stream.partitions.get(at));
        if let Some(range) = range {
            let end = i64::try_from(range.end.get()).unwrap_or(i64::MAX);
            cursor.position = cursor.position.min(end - 1);
        }
    }
}

async fn restore_cursors(context: &Arc<Context>, stored: Vec<StoredCursor>) -> (u64, Option<(u64, String)>) {
    let stores = stored.into_iter().map(|cursor| async move {
        let key = CursorKey::new(cursor.stream, cursor.partition, cursor.id);
        let key = key.map_err(|error| error.to_string())?;
        let stored = cursors::set(context, &key, cursor.position).await;
        stored.map_err(|error| describe(&error))
    });
    let results: Vec<_> = stream::iter(stores).buffer_unordered(AT_ONCE).collect().await;
    let failed = results.iter().filter(|result| result.is_err()).count() as u64;
    let first = results.iter().find_map(|result| result.as_ref().err());
    let restored = results.len() as u64 - failed;
    (restored, first.map(|reason: &String| (failed, reason.clone())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_beyond_a_cut_are_set_back_to_its_last_record() {
        let range = |end| ArchivedRange {
            end: Offset::new(end),
            ..ArchivedRange::default()
        };
        let streams = [RestoredStream {
            name: StreamName::new("orders").unwrap(),
            partitions: vec![range(10), range(0)],
            problem: None,
        }];
        let cursor = |stream: &str, partition, position| StoredCursor {
            stream: stream.to_owned(),
            partition,
            id: "c".to_owned(),
            position,
        };
        let mut cursors = [
            cursor("orders", 0, 9),
            cursor("orders", 0, 10),
            cursor("orders", 1, 4),
            cursor("orders", -1, 4),
            cursor("orders", 2, 4),
            cursor("bills", 0, 99),
        ];
        set_back(&mut cursors, &streams);
        let positions = cursors.map(|cursor| cursor.position);
        assert_eq!(positions, [9, 9, -1, 4, 4, 99]);
    }

    #[test]
    fn another_name_is_for_one_stream() {
        let name = |name| StreamName::new(name).unwrap();
        let two = Restore {
            streams: vec![name("a"), name("b")],
            new_name: Some(name("c")),
            ..Restore::default()
        };
        assert!(matches!(two.check(), Err(RestoreError::NotOne)));
        let one = Restore {
            streams: vec![name("a")],
            ..two
        };
        assert!(one.check().is_ok() && one.copies());
        let subject = Restore {
            subject: Some(SubjectFilter::new("s").unwrap()),
            ..Restore::default()
        };
        assert!(matches!(subject.check(), Err(RestoreError::NotOne)));
        assert!(!Restore::default().copies());
    }
}
