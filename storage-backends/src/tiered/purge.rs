//! Removing a whole archive from a bucket for good.
//!
//! Whether anybody still needs it is the caller's to know, all but this: what a named point of the archive holds is not removed. The
//! order makes it possible to begin again after a crash, and keeps everybody else off: HEAD says first that the archive is being
//! purged, then the objects go, then HEAD.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use strandline_core::Timestamp;

use super::borrow::end_loans;
use super::entry::is_name;
use super::{ArchiveError, Bucket, BucketError, Head, Place, PointError, Version, document};

/// How often HEAD is marked while others change it.
const TRIES: u32 = 5;
/// Looks for objects that were on their way when HEAD was marked.
const ROUNDS: u32 = 3;

/// What there is to purge of a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Objects of the archive, HEAD included.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Objects that no archive has written. They stay.
    pub foreign: Vec<String>,
    /// Named points that hold it. As long as there are any nothing is purged.
    pub points: Vec<String>,
    /// Whether somebody has begun to purge it.
    pub is_begun: bool,
}

/// Looks at what would go. Lists the whole place.
///
/// # Errors
///
/// HEAD is damaged, so that nobody knows what it holds; or the bucket cannot be asked.
pub async fn look(bucket: &Bucket, place: &Place) -> Result<Contents, ArchiveError> {
    let mut contents = Contents::default();
    if let Some((content, _)) = read(bucket, place).await? {
        contents.points = points(&content);
        contents.is_begun = content.get("purging") == Some(&Value::Bool(true));
    }
    for object in place.list(bucket).await? {
        match place.name_of(&object.key) {
            Some(name) if name == Place::HEAD || is_ours(name) => {
                contents.objects += 1;
                contents.bytes = contents.bytes.saturating_add(object.bytes);
            }
            _ => contents.foreign.push(object.key),
        }
    }
    Ok(contents)
}

/// Marks HEAD as being purged, or takes the mark away again: whoever archives or reads there stops when he sees it. True when
/// there is no HEAD, or it is so now.
///
/// # Errors
///
/// HEAD is damaged or others change it all the time; or the bucket cannot be asked.
pub async fn mark(bucket: &Bucket, place: &Place, purging: bool) -> Result<bool, ArchiveError> {
    let key = place.key(Place::HEAD);
    let mut last = None;
    for _ in 0..TRIES {
        let Some((mut content, version)) = read(bucket, place).await? else {
            return Ok(true);
        };
        if purging && !points(&content).is_empty() {
            return Ok(false);
        }
        let Some(members) = content.as_object_mut() else {
            return Err(ArchiveError::damaged(&key, "it is no object"));
        };
        let sequence = members.get("sequence").and_then(Value::as_u64).unwrap_or(0);
        members.insert("sequence".to_owned(), sequence.saturating_add(1).into());
        let before = members.insert("purging".to_owned(), purging.into());
        let was = before.and_then(|before| before.as_bool()).unwrap_or(false);
        if was == purging {
            return Ok(true);
        }
        let bytes = document::encode(Head::KIND, &content)
            .map_err(|error| ArchiveError::damaged(&key, error.to_string()))?;
        match bucket.replace(&key, bytes, &version).await {
            Ok(_) => return Ok(true),
            Err(error) if error.leaves_doubt() => last = Some(error),
            Err(error) => return Err(error.into()),
        }
    }
    last.map_or(Ok(false), |error| Err(error.into()))
}

/// Deletes the objects of a partition whose HEAD is [marked](mark), HEAD last, and tells of each. Those who lent to it are told that
/// it needs nothing of them any more. Can be cancelled and repeated.
///
/// # Errors
///
/// HEAD is not marked, or is damaged; or the bucket cannot be asked. What was deleted by then is gone.
pub async fn purge(
    bucket: &Arc<Bucket>,
    place: &Place,
    now: Timestamp,
    deleted: &mut (dyn FnMut(u64) + Send),
) -> Result<(), PointError> {
    let key = place.key(Place::HEAD);
    let content = read(bucket, place).await?.map(|(content, _)| content);
    if let Some(content) = &content
        && content.get("purging") != Some(&Value::Bool(true))
    {
        let reason = "it is not marked as being purged".to_owned();
        return Err(ArchiveError::damaged(&key, reason).into());
    }
    // An upload that was under way when HEAD was marked may still arrive.
    let mut seen = BTreeSet::new();
    for _ in 0..ROUNDS {
        let listed = place.list(bucket).await?;
        let ours = |key: &str| place.name_of(key).is_some_and(is_ours);
        let left: Vec<_> = listed.into_iter().filter(|object| ours(&object.key)).collect();
        if left.is_empty() {
            break;
        }
        for object in left {
            bucket.delete(&object.key).await?;
            if seen.insert(object.key) {
                deleted(object.bytes);
            }
        }
    }
    // While HEAD is there it says whom to tell.
    if let Some(content) = content {
        let head: Head = serde_json::from_value(content)
            .map_err(|error| ArchiveError::damaged(&key, error.to_string()))?;
        end_loans(bucket, &head, now).await?;
    }
    bucket.delete(&key).await?;
    deleted(0);
    Ok(())
}

/// HEAD with all its members; none when there is none.
async fn read(bucket: &Bucket, place: &Place) -> Result<Option<(Value, Version)>, ArchiveError> {
    let key = place.key(Place::HEAD);
    let (bytes, version) = match bucket.get(&key).await {
        Err(BucketError::NotFound { .. }) => return Ok(None),
        other => other?,
    };
    // As a whole, with what later versions may have added.
    let content: Value = document::decode(Head::KIND, &bytes)
        .map_err(|error| ArchiveError::damaged(&key, error.to_string()))?;
    let is_its_own = content.get("place").and_then(Value::as_str) == Some(place.root.as_str());
    if !is_its_own {
        return Err(ArchiveError::damaged(&key, "it belongs to another place"));
    }
    Ok(Some((content, version)))
}

fn points(content: &Value) -> Vec<String> {
    let points = content.get("points").and_then(Value::as_array);
    let name = |point: &Value| {
        let name = point.get("name").and_then(Value::as_str);
        name.unwrap_or("a point without a name").to_owned()
    };
    points.into_iter().flatten().map(name).collect()
}

fn is_ours(name: &str) -> bool {
    ["segments/", "manifest/", "points/"]
        .iter()
        .any(|directory| is_name(name, directory))
}

#[cfg(test)]
mod tests {
    use strandline_core::{Offset, PartitionId};

    use super::super::records::batch_of;
    use super::super::testing::Writer;
    use super::*;

    fn place() -> Place {
        Place {
            root: "cluster/orders.1".to_owned(),
            partition: PartitionId::new(0),
        }
    }

    async fn archive() -> (Arc<Bucket>, Writer) {
        let bucket = Arc::new(Bucket::in_memory());
        let mut writer = Writer::new(Arc::clone(&bucket), 0).await;
        for base in [0, 10, 20] {
            let batch = batch_of(&[base, base + 1]);
            writer.add(&[batch], Offset::new(base + 10)).await;
        }
        writer.spill(1).await;
        (bucket, writer)
    }

    async fn keys(bucket: &Bucket) -> Vec<String> {
        let listed = bucket.list("", 1000).await.unwrap();
        listed.into_iter().map(|object| object.key).collect()
    }

    #[tokio::test]
    async fn all_of_an_archive_goes_and_nothing_else() {
        let (bucket, _) = archive().await;
        let note = "cluster/orders.1/0/notes.txt";
        bucket.put(note, "mine").await.unwrap();
        let found = look(&bucket, &place()).await.unwrap();
        assert_eq!((found.objects, found.is_begun), (5, false));
        assert_eq!(found.foreign, [note]);
        let unmarked = purge(&bucket, &place(), Timestamp::ZERO, &mut |_| {})
            .await
            .unwrap_err();
        assert!(unmarked.to_string().contains("not marked"), "{unmarked}");
        assert!(mark(&bucket, &place(), true).await.unwrap());
        let mut deleted = (0, 0);
        purge(&bucket, &place(), Timestamp::ZERO, &mut |bytes| {
            deleted = (deleted.0 + 1, deleted.1 + bytes);
        })
        .await
        .unwrap();
        assert_eq!(deleted.0, 5);
        assert_eq!(keys(&bucket).await, [note]);
        // As after a crash at the very end.
        assert!(mark(&bucket, &place(), true).await.unwrap());
        purge(&bucket, &place(), Timestamp::ZERO, &mut |_| {})
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn readers_of_a_marked_archive_are_told_and_the_mark_can_be_taken_away() {
        let (bucket, writer) = archive().await;
        assert!(mark(&bucket, &place(), true).await.unwrap());
        assert!(
            mark(&bucket, &place(), true).await.unwrap(),
            "repeating is harmless"
        );
        let told = writer.archive().load().await.unwrap_err();
        assert!(matches!(told, ArchiveError::Purging { .. }), "{told}");
        assert!(look(&bucket, &place()).await.unwrap().is_begun);
        assert!(mark(&bucket, &place(), false).await.unwrap());
        writer.archive().load().await.unwrap();
    }

    #[tokio::test]
    async fn what_a_point_holds_is_not_marked() {
        let (bucket, _) = archive().await;
        let (mut content, _) = read(&bucket, &place()).await.unwrap().unwrap();
        content["points"] = serde_json::json!([{ "name": "before the migration" }]);
        let bytes = document::encode(Head::KIND, &content).unwrap();
        bucket.put(&place().key("HEAD"), bytes).await.unwrap();
        assert_eq!(
            look(&bucket, &place()).await.unwrap().points,
            ["before the migration"]
        );
        assert!(!mark(&bucket, &place(), true).await.unwrap());
    }

    #[tokio::test]
    async fn a_head_that_is_damaged_or_of_another_place_is_left_alone() {
        let (bucket, _) = archive().await;
        let key = place().key("HEAD");
        let (good, _) = bucket.get(&key).await.unwrap();
        bucket.put(&key, "{}").await.unwrap();
        assert!(mark(&bucket, &place(), true).await.is_err());
        let mut content: Value = document::decode(Head::KIND, &good).unwrap();
        content["place"] = "cluster/bills.2".into();
        let bytes = document::encode(Head::KIND, &content).unwrap();
        bucket.put(&key, bytes).await.unwrap();
        let refused = mark(&bucket, &place(), true).await.unwrap_err();
        assert!(refused.to_string().contains("another place"), "{refused}");
    }
}
