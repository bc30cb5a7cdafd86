//! Tests of what the state knows of archives.

use super::*;

pub(super) fn begin(name: &str, first: u64) -> Command {
    let (cluster, name, first) = (
        ClusterId::new("c").unwrap(),
        StreamName::new(name).unwrap(),
        LogId::new(first),
    );
    let place = ArchivePlace {
        root: PlaceRoot::of(&cluster, &name, first),
        since: Timestamp::from_nanos(9),
    };
    Command::BeginArchive { name, first, place }
}

pub(super) fn made(name: &str, first: u64, logs: Vec<LogId>) -> Command {
    Command::ArchivesMade {
        name: StreamName::new(name).unwrap(),
        first: LogId::new(first),
        logs,
    }
}

fn logs(numbers: &[u64]) -> Vec<LogId> {
    numbers.iter().copied().map(LogId::new).collect()
}

#[test]
fn a_stream_gets_one_place_in_the_archive_whoever_asks_again() {
    let mut state = cluster_of(1);
    created(&mut state, "orders", 2);
    let outcome = apply(&mut state, 1, &begin("orders", 0));
    let Ok(Outcome::ArchiveBegun(entry)) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(entry.archive.as_ref().unwrap().root.as_str(), "c/orders.0");
    let Command::BeginArchive {
        name,
        first,
        mut place,
    } = begin("orders", 0)
    else {
        panic!("it begins")
    };
    place.since = Timestamp::from_nanos(10);
    let again = apply(&mut state, 2, &Command::BeginArchive { name, first, place });
    assert_eq!(again, Ok(Outcome::ArchiveBegun(entry)), "the first one wins");
}

#[test]
fn a_partition_is_archived_once_its_head_is_reported_and_only_in_a_stream_that_has_a_place() {
    let mut state = cluster_of(1);
    created(&mut state, "orders", 3);
    let early = apply(&mut state, 1, &made("orders", 0, logs(&[1])));
    assert!(matches!(early, Err(Rejection::NotArchived { .. })), "{early:?}");
    apply(&mut state, 2, &begin("orders", 0)).unwrap();
    let archived = |state: &State| {
        let entry = state.stream("orders").unwrap();
        let archived = entry.partitions.iter().map(|partition| partition.is_archived);
        archived.collect::<Vec<_>>()
    };
    assert_eq!(archived(&state), [false; 3]);
    let outcome = apply(&mut state, 3, &made("orders", 0, logs(&[1, 77])));
    assert_eq!(outcome, Ok(Outcome::ArchivesMade { partitions: 1 }));
    assert_eq!(archived(&state), [false, true, false]);
    let again = apply(&mut state, 4, &made("orders", 0, logs(&[1])));
    assert_eq!(again, Ok(Outcome::ArchivesMade { partitions: 0 }));
    assert_eq!(state.verify(), Ok(()));
}

#[test]
fn a_stream_that_is_created_again_begins_elsewhere() {
    let mut state = cluster_of(1);
    created(&mut state, "orders", 1);
    apply(&mut state, 1, &begin("orders", 0)).unwrap();
    apply(&mut state, 2, &made("orders", 0, logs(&[0]))).unwrap();
    apply(&mut state, 3, &delete("orders")).unwrap();
    let entry = created(&mut state, "orders", 1);
    assert!(entry.archive.is_none() && !entry.partitions[0].is_archived);
    assert!(
        apply(&mut state, 4, &begin("orders", 0)).is_err(),
        "a late command"
    );
    assert!(apply(&mut state, 4, &made("orders", 0, logs(&[1]))).is_err());
    apply(&mut state, 5, &begin("orders", 1)).unwrap();
    let place = state.stream("orders").unwrap().archive.clone().unwrap();
    assert_eq!(place.root.as_str(), "c/orders.1");
}

#[test]
fn a_stored_state_with_an_archived_partition_of_no_place_is_refused() {
    let mut state = cluster_of(1);
    created(&mut state, "orders", 1);
    apply(&mut state, 1, &begin("orders", 0)).unwrap();
    apply(&mut state, 2, &made("orders", 0, logs(&[0]))).unwrap();
    let stored = serde_json::to_string(&state).unwrap();
    assert_eq!(serde_json::from_str::<State>(&stored).unwrap(), state);
    let place = r#","archive":{"root":"c/orders.0","since":9}"#;
    assert!(stored.contains(place), "{stored}");
    assert!(serde_json::from_str::<State>(&stored.replacen(place, "", 1)).is_err());
    let elsewhere = stored.replacen("c/orders.0", "c/../orders.0", 1);
    assert!(serde_json::from_str::<State>(&elsewhere).is_err());
}

fn renew(name: &str, first: u64, was: &str) -> Command {
    Command::RenewArchive {
        name: StreamName::new(name).unwrap(),
        first: LogId::new(first),
        was: PlaceRoot::new(was).unwrap(),
        now: Timestamp::from_nanos(11),
    }
}

#[test]
fn a_stream_whose_archive_is_lost_begins_anew_in_a_place_that_no_other_can_have() {
    let mut state = cluster_of(1);
    let cluster = ClusterId::new("c").unwrap();
    apply(&mut state, 0, &Command::FoundCluster { cluster }).unwrap();
    created(&mut state, "orders", 2);
    let early = apply(&mut state, 1, &renew("orders", 0, "c/orders.0"));
    assert!(matches!(early, Err(Rejection::NotArchived { .. })), "{early:?}");
    apply(&mut state, 2, &begin("orders", 0)).unwrap();
    apply(&mut state, 3, &made("orders", 0, logs(&[0, 1]))).unwrap();
    let outcome = apply(&mut state, 4, &renew("orders", 0, "c/orders.0"));
    let Ok(Outcome::ArchiveBegun(entry)) = outcome else {
        panic!("{outcome:?}")
    };
    let root = |entry: &StreamEntry| entry.archive.as_ref().unwrap().root.to_string();
    assert!(root(&entry).ends_with("/orders.0.2"), "{}", root(&entry));
    assert!(entry.partitions.iter().all(|partition| !partition.is_archived));
    let again = apply(&mut state, 5, &renew("orders", 0, "c/orders.0"));
    assert_eq!(
        again,
        Ok(Outcome::ArchiveBegun(Arc::clone(&entry))),
        "once is enough"
    );
    // One that is called as if it were in the new place.
    let other = created(&mut state, "orders.0", 1);
    assert_eq!(other.first_log(), Some(LogId::new(3)));
    let renewed = apply(&mut state, 6, &renew("orders", 0, &root(&entry))).unwrap();
    assert!(matches!(renewed, Outcome::ArchiveBegun(entry) if root(&entry).ends_with("/orders.0.4")));
    assert_eq!(state.verify(), Ok(()));
}
