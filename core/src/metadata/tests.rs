//! Tests of the state machine as a whole.

mod archive;
mod restore;

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::record::{Codec, KeyId};
use crate::storage::Durability;
use crate::stream::{MAX_PARTITIONS, SettingChange, StreamDefinition, StreamSettings};
use crate::subject::SubjectFilter;
use crate::{BrokerId, LeaderEpoch, LogId, PartitionId, StreamName, Timestamp};

pub(super) fn broker(number: u32) -> BrokerId {
    BrokerId::new(format!("b{number}")).unwrap()
}

pub(super) fn definition(name: &str, partitions: u32, replication_factor: u32) -> StreamDefinition {
    StreamDefinition {
        name: StreamName::new(name).unwrap(),
        subject: SubjectFilter::new("orders.*").unwrap(),
        group: None,
        partitions,
        replication_factor,
        settings: StreamSettings {
            retention_max_bytes: Some(7),
            ..StreamSettings::default()
        },
    }
}

fn register(number: u32) -> Command {
    let (host, now) = ("localhost".to_owned(), Timestamp::from_nanos(1));
    Command::RegisterBroker {
        broker: broker(number),
        host,
        port: 9292,
        now,
    }
}

pub(super) fn cluster_of(brokers: u32) -> State {
    let mut state = State::default();
    for number in 0..brokers {
        apply(&mut state, u64::from(number), &register(number)).unwrap();
    }
    state
}

fn create(state: &State, definition: StreamDefinition) -> Command {
    let placement = Planner::new(state).plan(&definition).unwrap_or_default();
    Command::CreateStream {
        definition,
        placement,
        now: Timestamp::from_nanos(5),
    }
}

pub(super) fn created(state: &mut State, name: &str, partitions: u32) -> Arc<StreamEntry> {
    let command = create(state, definition(name, partitions, 1));
    match apply(state, 100, &command).unwrap() {
        Outcome::Created(entry) => entry,
        other => panic!("{other:?}"),
    }
}

fn update(name: &str, changes: Vec<SettingChange>) -> Command {
    Command::UpdateStream {
        name: StreamName::new(name).unwrap(),
        changes,
    }
}

pub(super) fn delete(name: &str) -> Command {
    Command::DeleteStream {
        name: StreamName::new(name).unwrap(),
    }
}

#[test]
fn a_created_stream_has_its_partitions_leaders_and_first_epoch() {
    let mut state = cluster_of(1);
    let entry = created(&mut state, "orders", 3);
    assert_eq!(entry.created, Timestamp::from_nanos(5));
    assert_eq!(entry.partitions.len(), 3);
    let second = entry.partition(PartitionId::new(1)).unwrap();
    assert_eq!(second.log, LogId::new(1));
    assert_eq!(second.leader_epoch, LeaderEpoch::new(1));
    assert!(second.is_led_by(&broker(0)));
    assert_eq!(second.isr, [broker(0)]);
    assert!(entry.partition(PartitionId::new(3)).is_none());
    assert_eq!(state.stream("orders"), Some(&entry));
    assert_eq!(state.broker(&broker(0)).unwrap().partitions, 3);
    assert_eq!(state.broker(&broker(0)).unwrap().leaderships, 3);
    assert_eq!(state.revision(), 100);
}

#[test]
fn a_partition_is_known_to_be_stored_once_its_holder_says_so() {
    let mut state = cluster_of(2);
    created(&mut state, "orders", 2);
    let report = |number| Command::LogsCreated {
        broker: broker(number),
        name: StreamName::new("orders").unwrap(),
        first: LogId::new(0),
    };
    let holders = |state: &State, number| {
        let entry = state.stream("orders").unwrap();
        entry
            .partitions
            .iter()
            .filter(|partition| partition.is_stored_on(&broker(number)))
            .count()
    };
    let expected = |number| {
        let entry = state.stream("orders").unwrap();
        entry
            .partitions
            .iter()
            .filter(|partition| partition.is_held_by(&broker(number)))
            .count()
    };
    let (first, second) = (expected(0), expected(1));
    apply(&mut state, 101, &report(0)).unwrap();
    assert_eq!((holders(&state, 0), holders(&state, 1)), (first, 0));
    apply(&mut state, 102, &report(1)).unwrap();
    assert_eq!(
        apply(&mut state, 103, &report(1)),
        Ok(Outcome::LogsCreated { partitions: 0 })
    );
    assert_eq!((holders(&state, 0), holders(&state, 1)), (first, second));
    assert!(state.verify().is_ok());
    apply(&mut state, 104, &delete("orders")).unwrap();
    assert!(apply(&mut state, 105, &report(0)).is_err());
    created(&mut state, "orders", 2);
    assert!(
        apply(&mut state, 106, &report(0)).is_err(),
        "a late report must not speak for another stream of the same name"
    );
    assert_eq!(holders(&state, 0), 0);
}

#[test]
fn a_name_is_taken_once_and_free_again_after_delete() {
    let mut state = cluster_of(1);
    created(&mut state, "orders", 1);
    let before = state.clone();
    let again = create(&state, definition("orders", 9, 1));
    let name = StreamName::new("orders").unwrap();
    assert_eq!(
        apply(&mut state, 7, &again),
        Err(Rejection::StreamExists { name: name.clone() })
    );
    assert_eq!(state, before, "a rejected command changes nothing");
    assert!(apply(&mut state, 8, &delete("orders")).is_ok());
    assert_eq!(
        apply(&mut state, 9, &delete("orders")),
        Err(Rejection::NoSuchStream { name })
    );
    created(&mut state, "orders", 1);
}

#[test]
fn settings_of_a_stream_change_and_go_back_to_the_servers() {
    let mut state = cluster_of(1);
    let before = created(&mut state, "a", 2);
    let outcome = apply(
        &mut state,
        107,
        &update(
            "a",
            vec![
                SettingChange::RetentionMaxBytes(None),
                SettingChange::Durability(Some(Durability::Os)),
            ],
        ),
    );
    let Ok(Outcome::Updated(entry)) = outcome else {
        panic!("{outcome:?}")
    };
    let expected = StreamSettings {
        durability: Some(Durability::Os),
        ..StreamSettings::default()
    };
    assert_eq!(entry.definition.settings, expected);
    assert_eq!(entry.partitions, before.partitions);
    assert_eq!(state.stream("a"), Some(&entry));
    assert_eq!(state.revision(), 107);
}

#[test]
fn a_change_that_cannot_be_made_changes_nothing() {
    let mut state = cluster_of(1);
    created(&mut state, "a", 1);
    let before = state.clone();
    let good = SettingChange::RetentionMaxBytes(Some(1));
    let cases = [
        (update("b", vec![good]), "stream does not exist: b"),
        (update("__cursors", vec![good]), "stream is reserved: __cursors"),
        (
            update("a", vec![good, SettingChange::SegmentMaxBytes(Some(0))]),
            "segment.max.bytes must be above zero",
        ),
        (
            update("a", vec![good; 65]),
            "at most 64 settings change at once: 65 asked for",
        ),
    ];
    for (command, text) in cases {
        let rejection = apply(&mut state, 9, &command).unwrap_err();
        assert_eq!(rejection.to_string(), text);
        assert_eq!(state, before);
    }
}

#[test]
fn the_servers_own_streams_are_created_by_its_own_command_only() {
    let mut state = cluster_of(1);
    let internal = |name: &str| {
        let definition = definition(name, 1, 1);
        Command::CreateInternalStream {
            placement: Placement::new(vec![vec![broker(0)]]),
            definition,
            now: Timestamp::from_nanos(5),
        }
    };
    let refused = apply(&mut state, 1, &internal("a"));
    assert!(
        matches!(refused, Err(Rejection::NotReserved { .. })),
        "{refused:?}"
    );
    assert!(matches!(
        apply(&mut state, 2, &internal("__cursors")),
        Ok(Outcome::Created(_))
    ));
    let again = apply(&mut state, 3, &internal("__cursors"));
    assert!(matches!(again, Err(Rejection::StreamExists { .. })), "{again:?}");
    let deleted = apply(&mut state, 4, &delete("__cursors"));
    assert!(
        matches!(deleted, Err(Rejection::ReservedName { .. })),
        "{deleted:?}"
    );
}

/// The form in which changes stand in metadata logs: it must be read by every later version.
#[test]
fn the_stored_form_of_a_change_stays_readable() {
    let stored = r#"[1,[{"update_stream":{"name":"a","changes":[{"retention_max_age_ms":5},{"durability":"os"},{"segment_max_bytes":null}]}}]]"#;
    let batch: CommandBatch = serde_json::from_str(stored).unwrap();
    let expected = update(
        "a",
        vec![
            SettingChange::RetentionMaxAgeMs(Some(5)),
            SettingChange::Durability(Some(Durability::Os)),
            SettingChange::SegmentMaxBytes(None),
        ],
    );
    assert_eq!(batch.commands(), [expected]);
    // Format 1 is read, format 4 is written; the commands look the same in both.
    let written = serde_json::to_string(&batch).unwrap();
    assert_eq!(written, stored.replacen("[1,", "[4,", 1));
}

#[test]
fn log_ids_are_not_given_again_after_delete() {
    let mut state = cluster_of(1);
    let first = created(&mut state, "orders", 2);
    apply(&mut state, 1, &delete("orders")).unwrap();
    let logs: Vec<_> = first.partitions.iter().map(|partition| partition.log).collect();
    apply(
        &mut state,
        2,
        &Command::LogsRemoved {
            broker: broker(0),
            logs: logs.clone(),
        },
    )
    .unwrap();
    let second = created(&mut state, "orders", 2);
    assert!(
        second
            .partitions
            .iter()
            .all(|partition| !logs.contains(&partition.log))
    );
}

#[test]
fn the_logs_of_a_deleted_stream_stay_pending_until_they_are_reported_removed() {
    let mut state = cluster_of(1);
    created(&mut state, "keep", 1);
    created(&mut state, "drop", 2);
    apply(&mut state, 1, &delete("drop")).unwrap();
    let me = broker(0);
    assert_eq!(
        state.pending_removals(&me).collect::<Vec<_>>(),
        [LogId::new(1), LogId::new(2)]
    );
    assert_eq!(state.partitions_on(&me).count(), 1);
    let removed = |logs| Command::LogsRemoved {
        broker: broker(0),
        logs,
    };
    let ids = |numbers: &[u64]| numbers.iter().copied().map(LogId::new).collect::<Vec<_>>();
    assert_eq!(
        apply(&mut state, 2, &removed(ids(&[1, 0, 77]))),
        Ok(Outcome::LogsRemoved { logs: 1 })
    );
    assert_eq!(state.pending_removals(&me).collect::<Vec<_>>(), [LogId::new(2)]);
    assert_eq!(
        state.partitions_on(&me).count(),
        1,
        "a live log cannot be reported away"
    );
    assert_eq!(
        apply(&mut state, 3, &removed(ids(&[1, 2]))),
        Ok(Outcome::LogsRemoved { logs: 1 })
    );
    assert_eq!(state.pending_removals(&me).count(), 0);
    assert!(state.knew_log(LogId::new(2)) && !state.knew_log(LogId::new(3)));
}

#[test]
fn a_restarted_broker_leads_again_under_a_new_epoch() {
    let mut state = cluster_of(2);
    created(&mut state, "orders", 4);
    let elected = apply(&mut state, 1, &Command::ElectLeader { broker: broker(0) });
    assert_eq!(elected, Ok(Outcome::Elected { partitions: 2 }));
    for partition in &state.stream("orders").unwrap().partitions {
        let expected = if partition.is_led_by(&broker(0)) { 2 } else { 1 };
        assert_eq!(
            partition.leader_epoch,
            LeaderEpoch::new(expected),
            "{partition:?}"
        );
    }
    let unknown = Command::ElectLeader { broker: broker(9) };
    assert_eq!(
        apply(&mut state, 2, &unknown),
        Err(Rejection::UnknownBroker { broker: broker(9) })
    );
}

#[test]
fn registering_again_moves_the_address_and_counts_the_process() {
    let mut state = cluster_of(1);
    created(&mut state, "orders", 2);
    let (host, now) = ("example.org".to_owned(), Timestamp::from_nanos(9));
    let moved = Command::RegisterBroker {
        broker: broker(0),
        host,
        port: 1,
        now,
    };
    assert_eq!(
        apply(&mut state, 1, &moved),
        Ok(Outcome::Registered {
            incarnation: 2,
            process: 2
        })
    );
    let entry = state.broker(&broker(0)).unwrap();
    assert_eq!(
        (entry.host.as_str(), entry.port, entry.partitions),
        ("example.org", 1, 2)
    );
    let nowhere = Command::RegisterBroker {
        broker: broker(0),
        host: String::new(),
        port: 1,
        now,
    };
    assert_eq!(
        apply(&mut state, 2, &nowhere),
        Err(Rejection::InvalidHost { bytes: 0 })
    );
}

#[test]
fn a_cluster_is_founded_once() {
    let mut state = State::default();
    let found = |id: &str| Command::FoundCluster {
        cluster: ClusterId::new(id).unwrap(),
    };
    assert_eq!(apply(&mut state, 1, &found("one")), Ok(Outcome::Founded));
    assert_eq!(apply(&mut state, 2, &found("one")), Ok(Outcome::Founded));
    let cluster = ClusterId::new("one").unwrap();
    assert_eq!(
        apply(&mut state, 3, &found("two")),
        Err(Rejection::AlreadyFounded { cluster })
    );
}

#[test]
fn definitions_and_placements_that_do_not_fit_are_refused() {
    let mut state = cluster_of(2);
    let now = Timestamp::ZERO;
    let mut refused = |definition: StreamDefinition, placed: &[&[u32]]| {
        let partitions = placed
            .iter()
            .map(|ids| ids.iter().map(|&id| broker(id)).collect());
        let placement = Placement::new(partitions.collect());
        apply(
            &mut state,
            1,
            &Command::CreateStream {
                definition,
                placement,
                now,
            },
        )
        .unwrap_err()
    };
    assert!(matches!(
        refused(definition("__cursors", 1, 1), &[&[0]]),
        Rejection::ReservedName { .. }
    ));
    assert!(matches!(
        refused(definition("s", 0, 1), &[]),
        Rejection::InvalidPartitionCount { partitions: 0 }
    ));
    let too_many = refused(definition("s", MAX_PARTITIONS + 1, 1), &[&[0]]);
    assert!(matches!(too_many, Rejection::InvalidPartitionCount { .. }));
    let factor = refused(definition("s", 1, 3), &[&[0, 1, 0]]);
    assert_eq!(
        factor,
        Rejection::InvalidReplicationFactor {
            factor: 3,
            brokers: 2
        }
    );
    assert!(matches!(
        refused(definition("s", 1, 2), &[&[0, 0]]),
        Rejection::InvalidPlacement { .. }
    ));
    assert!(matches!(
        refused(definition("s", 2, 1), &[&[0]]),
        Rejection::InvalidPlacement { .. }
    ));
    assert!(matches!(
        refused(definition("s", 1, 2), &[&[0]]),
        Rejection::InvalidPlacement { .. }
    ));
    assert_eq!(
        refused(definition("s", 1, 1), &[&[9]]),
        Rejection::UnknownBroker { broker: broker(9) }
    );
}

#[test]
fn a_format_of_the_future_is_refused_by_name() {
    let batch = serde_json::to_string(&CommandBatch::from(delete("x"))).unwrap();
    assert!(batch.starts_with("[4,"), "{batch}");
    let newer = r#"[5,[{"ride_a_unicorn":{}}]]"#;
    let error = serde_json::from_str::<CommandBatch>(newer)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("metadata command has format 5, this version reads 1 to 4"),
        "{error}"
    );
    let error = serde_json::from_str::<State>("[9,{}]").unwrap_err().to_string();
    assert!(error.contains("metadata state has format 9"), "{error}");
}

/// What format 1 looked like when it was first written: these bytes must stay readable.
#[test]
fn the_first_stored_format_stays_readable() {
    let batch = concat!(
        r#"[1,[{"found_cluster":{"cluster":"c-1"}},"#,
        r#"{"register_broker":{"broker":"b0","host":"localhost","port":9292,"now":1}},"#,
        r#"{"create_stream":{"definition":{"name":"orders","subject":"orders.*","group":"g","partitions":1,"#,
        r#""replication_factor":1,"settings":{"retention_max_bytes":7,"durability":"os"}},"#,
        r#""placement":[["b0"]],"now":5}},"#,
        r#"{"elect_leader":{"broker":"b0"}},"#,
        r#"{"create_stream":{"definition":{"name":"gone","subject":"gone","group":null,"partitions":1,"#,
        r#""replication_factor":1,"settings":{}},"placement":[["b0"]],"now":6}},"#,
        r#"{"delete_stream":{"name":"gone"}},{"logs_removed":{"broker":"b0","logs":[9]}}]]"#,
    );
    let image = concat!(
        r#"[1,{"revision":3,"cluster":"c-1","next_log":2,"#,
        r#""brokers":[{"id":"b0","host":"localhost","port":9292,"incarnation":1,"registered":1}],"#,
        r#""streams":[{"definition":{"name":"orders","subject":"orders.*","group":"g","partitions":1,"#,
        r#""replication_factor":1,"settings":{"retention_max_bytes":7,"durability":"os"}},"created":5,"partitions":"#,
        r#"[{"log":0,"leader_epoch":2,"leader":"b0","replicas":["b0"],"isr":["b0"]}]}],"removals":[[1,["b0"]]]}]"#,
    );
    let mut state = State::default();
    for command in serde_json::from_str::<CommandBatch>(batch).unwrap().commands() {
        apply(&mut state, 3, command).unwrap();
    }
    assert_eq!(serde_json::from_str::<State>(image).unwrap(), state);
    // There was one storage engine then.
    let settings = state.stream("orders").unwrap().definition.settings;
    assert_eq!(settings.backend(), crate::storage::Backend::Segment);
}

#[test]
fn a_stored_state_that_contradicts_itself_is_refused() {
    let mut state = cluster_of(2);
    created(&mut state, "orders", 2);
    let stored = serde_json::to_string(&state).unwrap();
    let changes = [
        (r#""next_log":2"#, r#""next_log":1"#),
        (r#""log":1"#, r#""log":0"#),
        (r#""partitions":2"#, r#""partitions":3"#),
        (r#""leader":"b1""#, r#""leader":"b0""#),
        (r#""isr":["b0"]"#, r#""isr":["b1"]"#),
        (r#""replicas":["b0"]"#, r#""replicas":["b0","b0"]"#),
        (r#""id":"b1""#, r#""id":"b0""#),
        (r#""removals":[]"#, r#""removals":[[0,["b0"]]]"#),
    ];
    for (good, bad) in changes {
        let damaged = stored.replacen(good, bad, 1);
        assert_ne!(damaged, stored, "{good}");
        assert!(serde_json::from_str::<State>(&damaged).is_err(), "{bad}");
    }
}

fn any_change() -> impl Strategy<Value = SettingChange> {
    let number = prop::option::of(0_u64..3);
    prop_oneof![
        number.clone().prop_map(SettingChange::RetentionMaxBytes),
        number.clone().prop_map(SettingChange::SegmentMaxBytes),
        number.prop_map(SettingChange::CleanerIntervalMs),
        Just(SettingChange::Durability(Some(Durability::Os))),
        Just(SettingChange::Compression(Some(Codec::Lz4))),
        any::<Option<bool>>().prop_map(SettingChange::Archive),
    ]
}

fn wrapped(master: u64, text: &str) -> WrappedKey {
    WrappedKey {
        master: MasterKeyId::new(master),
        text: text.to_owned(),
    }
}

fn add_key(name: &str, first: u64, wrapped: WrappedKey) -> Command {
    Command::AddDataKey {
        name: StreamName::new(name).unwrap(),
        first: LogId::new(first),
        wrapped,
    }
}

fn rewrap(key: u32, from: u64, wrapped: WrappedKey) -> Command {
    let (key, from) = (KeyId::new(key).unwrap(), MasterKeyId::new(from));
    Command::RewrapDataKeys {
        wraps: vec![Rewrap { key, from, wrapped }],
    }
}

#[test]
fn a_stream_gets_one_data_key_whoever_asks_again() {
    let mut state = cluster_of(1);
    created(&mut state, "orders", 2);
    created(&mut state, "other", 1);
    let outcome = apply(&mut state, 1, &add_key("orders", 0, wrapped(1, "a")));
    let Ok(Outcome::DataKeyAdded(entry)) = outcome else {
        panic!("{outcome:?}")
    };
    let id = KeyId::new(1).unwrap();
    let key = |wrapped| DataKey { id, wrapped };
    assert_eq!(entry.keys, [key(wrapped(1, "a"))]);
    let again = apply(&mut state, 2, &add_key("orders", 0, wrapped(1, "b")));
    assert_eq!(again, Ok(Outcome::DataKeyAdded(entry)), "the first one wins");
    apply(&mut state, 3, &add_key("other", 2, wrapped(1, "c"))).unwrap();
    assert_eq!(state.stream("other").unwrap().keys[0].id, KeyId::new(2).unwrap());
    apply(&mut state, 4, &delete("other")).unwrap();
    created(&mut state, "other", 1);
    let late = apply(&mut state, 5, &add_key("other", 2, wrapped(1, "d")));
    assert!(
        matches!(late, Err(Rejection::NoSuchStream { .. })),
        "it was meant for the stream before"
    );
    apply(&mut state, 6, &add_key("other", 3, wrapped(1, "e"))).unwrap();
    let key = &state.stream("other").unwrap().keys[0];
    assert_eq!(key.id, KeyId::new(3).unwrap(), "numbers are never given again");
    assert_eq!(state.verify(), Ok(()));
}

#[test]
fn a_data_key_is_wrapped_anew_only_from_the_master_key_that_it_has() {
    let mut state = cluster_of(1);
    created(&mut state, "orders", 1);
    apply(&mut state, 1, &add_key("orders", 0, wrapped(1, "a"))).unwrap();
    let rewrapped = |keys| Ok(Outcome::DataKeysRewrapped { keys });
    assert_eq!(apply(&mut state, 2, &rewrap(1, 9, wrapped(2, "x"))), rewrapped(0));
    assert_eq!(apply(&mut state, 2, &rewrap(7, 1, wrapped(2, "x"))), rewrapped(0));
    assert_eq!(apply(&mut state, 3, &rewrap(1, 1, wrapped(2, "b"))), rewrapped(1));
    assert_eq!(apply(&mut state, 4, &rewrap(1, 1, wrapped(2, "c"))), rewrapped(0));
    let keys = &state.stream("orders").unwrap().keys;
    assert_eq!((keys.len(), &keys[0].wrapped), (1, &wrapped(2, "b")));
    for bad in ["", &"k".repeat(WrappedKey::MAX_BYTES + 1)] {
        let refused = Err(Rejection::InvalidDataKey { bytes: bad.len() });
        assert_eq!(apply(&mut state, 5, &rewrap(1, 2, wrapped(3, bad))), refused);
        assert_eq!(
            apply(&mut state, 5, &add_key("orders", 0, wrapped(3, bad))),
            refused
        );
    }
}

#[test]
fn every_process_of_the_cluster_has_a_number_of_its_own() {
    let mut state = cluster_of(2);
    let mut given = BTreeSet::new();
    for number in [0, 1, 1, 0] {
        let Ok(Outcome::Registered { process, .. }) = apply(&mut state, 1, &register(number)) else {
            panic!("it registers")
        };
        assert!(process > 2 && given.insert(process));
    }
}

fn any_command() -> impl Strategy<Value = (Command, bool)> {
    let name = prop::sample::select(vec!["a", "b", "c", "__cursors"]);
    let id = (0_u32..4).prop_map(broker);
    let now = any::<i64>().prop_map(Timestamp::from_nanos);
    let placement = vec(vec((0_u32..5).prop_map(broker), 0..4), 0..4).prop_map(Placement::new);
    let definitions = (name.clone(), 0_u32..4, 0_u32..4).prop_map(|(name, p, r)| definition(name, p, r));
    let logs = vec((0_u64..20).prop_map(LogId::new), 0..5);
    let command = prop_oneof![
        2 => (id.clone(), "[a-z]{0,3}", any::<u16>(), now.clone())
            .prop_map(|(broker, host, port, now)| Command::RegisterBroker { broker, host, port, now }),
        6 => (definitions, placement, now)
            .prop_map(|(definition, placement, now)| Command::CreateStream { definition, placement, now }),
        4 => name.clone().prop_map(delete),
        2 => (name, vec(any_change(), 0..3)).prop_map(|(name, changes)| update(name, changes)),
        1 => id.clone().prop_map(|broker| Command::ElectLeader { broker }),
        2 => (id.clone(), "[a-c]", 0_u64..8).prop_map(|(broker, name, first)| Command::LogsCreated {
            broker,
            name: StreamName::new(name).unwrap(),
            first: LogId::new(first),
        }),
        2 => (id, logs.clone()).prop_map(|(broker, logs)| Command::LogsRemoved { broker, logs }),
        2 => ("[a-c]", 0_u64..8, "[x-z]{0,2}")
            .prop_map(|(name, first, text)| add_key(&name, first, wrapped(1, &text))),
        1 => (1_u32..4, 0_u64..3, "[x-z]{0,2}").prop_map(|(key, from, text)| rewrap(key, from, wrapped(2, &text))),
        2 => ("[a-c]", 0_u64..8).prop_map(|(name, first)| archive::begin(&name, first)),
        2 => ("[a-c]", 0_u64..8, logs).prop_map(|(name, first, logs)| archive::made(&name, first, logs)),
        1 => ("[a-c]", "[a-c]", 0_u64..4, 1_u32..4).prop_map(|(name, place, epoch, key)| {
            restore::restore(&cluster_of(1), &name, restore::any_restored(&format!("old/{place}.1"), epoch, key))
        }),
        8 => plugins::any_change(),
        1 => "[a-b]".prop_map(|id| Command::FoundCluster { cluster: ClusterId::new(id).unwrap() }),
    ];
    (command, prop::bool::weighted(0.8))
}

/// Replaces an arbitrary placement by a planned one, so that most creations succeed.
fn planned(state: &State, command: Command, plan: bool) -> Command {
    match command {
        Command::CreateStream { definition, now, .. } if plan => {
            let placement = Planner::new(state).plan(&definition).unwrap_or_default();
            Command::CreateStream {
                definition,
                placement,
                now,
            }
        }
        command => command,
    }
}

fn live_logs(state: &State) -> BTreeSet<LogId> {
    state
        .streams()
        .flat_map(|stream| stream.partitions.iter().map(|partition| partition.log))
        .collect()
}

proptest! {
    #[test]
    fn any_sequence_of_commands_keeps_the_invariants(commands in vec(any_command(), 0..60)) {
        let mut state = State::default();
        let mut given: BTreeSet<LogId> = BTreeSet::new();
        for (index, (command, plan)) in commands.into_iter().enumerate() {
            let command = planned(&state, command, plan);
            let before = state.clone();
            let outcome = apply(&mut state, index as u64, &command);
            prop_assert_eq!(state.verify(), Ok(()));
            match outcome {
                Err(_) => prop_assert_eq!(&state, &before),
                Ok(Outcome::Created(entry)) => {
                    for partition in &entry.partitions {
                        prop_assert!(given.insert(partition.log), "log {} given twice", partition.log);
                    }
                }
                Ok(_) => {}
            }
            for stream in before.streams() {
                let Some(now) = state.stream(stream.definition.name.as_str()) else { continue };
                for (old, new) in stream.partitions.iter().zip(&now.partitions) {
                    prop_assert!(old.log != new.log || old.leader_epoch <= new.leader_epoch);
                }
            }
            let gone: Vec<_> = live_logs(&before).difference(&live_logs(&state)).copied().collect();
            for log in gone {
                prop_assert!((0..5).any(|id| state.pending_removals(&broker(id)).any(|pending| pending == log)));
            }
        }
    }

    #[test]
    fn a_stored_state_and_the_rest_of_the_log_give_the_same_as_the_whole_log(
        commands in vec(any_command(), 1..40),
        cut in any::<prop::sample::Index>(),
    ) {
        let cut = cut.index(commands.len());
        let (mut whole, mut restored) = (State::default(), State::default());
        for (index, (command, plan)) in commands.into_iter().enumerate() {
            if index == cut {
                let stored = serde_json::to_vec(&whole).unwrap();
                restored = serde_json::from_slice(&stored).unwrap();
                prop_assert_eq!(&restored, &whole);
            }
            let command = planned(&whole, command, plan);
            let stored = serde_json::to_vec(&CommandBatch::from(command)).unwrap();
            let batch: CommandBatch = serde_json::from_slice(&stored).unwrap();
            let first = apply(&mut whole, index as u64, &batch.commands()[0]);
            if index >= cut {
                prop_assert_eq!(apply(&mut restored, index as u64, &batch.commands()[0]), first);
            }
        }
        prop_assert_eq!(restored, whole);
    }
}
