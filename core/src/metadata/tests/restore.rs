//! Tests of streams that come back from an archive.

use super::*;

fn restored(root: &str, partitions: &[(u64, u64)]) -> RestoredStream {
    let partition = |&(epoch, start): &(u64, u64)| RestoredPartition {
        epoch: LeaderEpoch::new(epoch),
        start: crate::Offset::new(start),
        is_archived: true,
    };
    RestoredStream {
        place: ArchivePlace {
            root: PlaceRoot::new(root).unwrap(),
            since: Timestamp::from_nanos(9),
        },
        keys: Vec::new(),
        keys_given: 0,
        new_key: None,
        partitions: partitions.iter().map(partition).collect(),
    }
}

pub(super) fn restore(state: &State, name: &str, restored: RestoredStream) -> Command {
    let definition = definition(name, 2, 1);
    let placement = Planner::new(state).plan(&definition).unwrap_or_default();
    Command::RestoreStream {
        definition,
        placement,
        restored: Box::new(restored),
        now: Timestamp::from_nanos(5),
    }
}

pub(super) fn any_restored(root: &str, epoch: u64, key: u32) -> RestoredStream {
    encrypted(restored(root, &[(epoch, 3), (1, 0)]), &[key])
}

fn key(id: u32) -> DataKey {
    DataKey {
        id: KeyId::new(id).unwrap(),
        wrapped: wrapped(1, "old"),
    }
}

fn encrypted(restored: RestoredStream, keys: &[u32]) -> RestoredStream {
    RestoredStream {
        keys: keys.iter().copied().map(key).collect(),
        keys_given: 5,
        new_key: Some(wrapped(1, "new")),
        ..restored
    }
}

fn entry(outcome: Result<Outcome, Rejection>) -> Arc<StreamEntry> {
    match outcome {
        Ok(Outcome::Created(entry)) => entry,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_restored_stream_is_led_under_its_new_epochs_and_begins_where_its_archive_ends() {
    let mut state = cluster_of(1);
    created(&mut state, "other", 3);
    let command = restore(&state, "orders", restored("old/orders.7", &[(4, 100), (9, 0)]));
    let entry = entry(apply(&mut state, 1, &command));
    let is = |partition: &PartitionEntry| {
        (
            partition.log.get(),
            partition.leader_epoch.get(),
            partition.start.get(),
        )
    };
    assert_eq!(
        entry.partitions.iter().map(is).collect::<Vec<_>>(),
        [(3, 4, 100), (4, 9, 0)]
    );
    assert_eq!(entry.archive.as_ref().unwrap().root.as_str(), "old/orders.7");
    assert!(
        entry
            .partitions
            .iter()
            .all(|partition| partition.is_archived && partition.stored.is_empty())
    );
    state.verify().unwrap();
    let stored = serde_json::to_string(&state).unwrap();
    assert_eq!(serde_json::from_str::<State>(&stored).unwrap(), state);
}

#[test]
fn a_place_belongs_to_one_stream_at_a_time() {
    let mut state = cluster_of(1);
    let command = restore(&state, "orders", restored("old/orders.7", &[(4, 100), (9, 0)]));
    apply(&mut state, 1, &command).unwrap();
    let again = restore(&state, "copy", restored("old/orders.7", &[(5, 100), (9, 0)]));
    let refused = apply(&mut state, 2, &again).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "stream orders is archived in old/orders.7: delete it first, its objects stay"
    );
    apply(&mut state, 3, &delete("orders")).unwrap();
    apply(&mut state, 4, &again).unwrap();
}

#[test]
fn an_encrypted_stream_keeps_its_keys_and_goes_on_with_a_new_one() {
    let mut state = cluster_of(1);
    let first = encrypted(restored("old/a.1", &[(2, 1), (2, 1)]), &[1, 4]);
    let command = restore(&state, "a", first);
    let entry_a = entry(apply(&mut state, 1, &command));
    let ids = |entry: &StreamEntry| entry.keys.iter().map(|key| key.id.get()).collect::<Vec<_>>();
    assert_eq!(ids(&entry_a), [1, 4, 6], "its cluster has given 5");
    // Of the same cluster, with a number that was not given here.
    let second = encrypted(restored("old/b.2", &[(2, 1), (2, 1)]), &[5]);
    let command = restore(&state, "b", second);
    assert_eq!(ids(&entry(apply(&mut state, 2, &command))), [5, 7]);
    state.verify().unwrap();
    let foreign = encrypted(restored("else/c.2", &[(2, 1), (2, 1)]), &[4]);
    let command = restore(&state, "c", foreign);
    let refused = apply(&mut state, 3, &command).unwrap_err();
    assert!(matches!(refused, Rejection::KeyInUse { .. }), "{refused}");
}

#[test]
fn what_contradicts_itself_is_refused_and_changes_nothing() {
    let mut state = cluster_of(1);
    let good = || restored("old/a.1", &[(2, 1), (2, 1)]);
    let mut bad = [(); 6].map(|()| good());
    bad[0].partitions.pop();
    bad[1].partitions[0].epoch = LeaderEpoch::new(0);
    bad[2].partitions[1].is_archived = false;
    bad[3].partitions[1].start = crate::Offset::new(u64::MAX);
    bad[4].keys.push(key(1));
    bad[5].new_key = Some(wrapped(1, "new"));
    let before = state.clone();
    for restored in bad {
        let command = restore(&state, "a", restored);
        let refused = apply(&mut state, 1, &command).unwrap_err();
        assert!(matches!(refused, Rejection::InvalidRestore { .. }), "{refused}");
        assert_eq!(state, before);
    }
    let twice = encrypted(good(), &[3, 3]);
    let command = restore(&state, "a", twice);
    let refused = apply(&mut state, 1, &command).unwrap_err();
    assert!(matches!(refused, Rejection::KeyInUse { .. }), "{refused}");
    assert_eq!(state, before);
}
