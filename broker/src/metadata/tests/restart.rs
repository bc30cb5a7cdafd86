//! What a restart on a real disk keeps.

use super::*;

fn disk() -> Arc<dyn Disk> {
    Arc::new(SystemDisk)
}

async fn reopen(handle: MetadataHandle, dir: &Path) -> MetadataHandle {
    handle.shutdown().await;
    open(disk(), dir, RaftSettings::default()).await.unwrap()
}

#[tokio::test]
async fn streams_and_their_settings_survive_and_deleted_ones_do_not_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let handle = open(disk(), dir.path(), RaftSettings::default()).await.unwrap();
    let kept = handle.create_stream(definition("kept", 3)).await.unwrap();
    let gone = handle.create_stream(definition("gone", 2)).await.unwrap();
    assert_eq!(handle.delete_stream(&name("gone")).await.unwrap(), gone);
    let before = handle.state();

    let handle = reopen(handle, dir.path()).await;
    let state = handle.state();
    assert_eq!(state.stream("kept"), Some(&kept));
    assert_eq!(kept.definition, definition("kept", 3));
    assert_eq!(kept.created, Timestamp::from_nanos(12));
    assert!(state.stream("gone").is_none());
    assert_eq!(state.cluster(), before.cluster());
    assert!(state.cluster().is_some());
    let pending: Vec<_> = state.pending_removals(handle.broker()).collect();
    assert_eq!(pending, [LogId::new(3), LogId::new(4)]);

    handle.logs_removed(pending).await.unwrap();
    let handle = reopen(handle, dir.path()).await;
    assert_eq!(handle.state().pending_removals(handle.broker()).count(), 0);
    let again = handle.create_stream(definition("gone", 1)).await.unwrap();
    assert_eq!(
        again.partitions[0].log,
        LogId::new(5),
        "log ids are never given again"
    );
    handle.shutdown().await;
}

#[tokio::test]
async fn every_process_has_a_number_of_its_own_and_data_keys_stay() {
    let dir = tempfile::tempdir().unwrap();
    let mut handle = open(disk(), dir.path(), tiny()).await.unwrap();
    let entry = handle.create_stream(definition("secret", 1)).await.unwrap();
    let wrapped = |master, text: &str| WrappedKey {
        master: MasterKeyId::new(master),
        text: text.to_owned(),
    };
    let first = handle.add_data_key(&entry, wrapped(1, "aa")).await.unwrap();
    let second = handle.add_data_key(&entry, wrapped(1, "bb")).await.unwrap();
    assert_eq!(first.keys, second.keys, "the first one stays");
    let mut numbers = vec![handle.process()];
    for _ in 0..15 {
        handle.shutdown().await;
        handle = open(disk(), dir.path(), tiny()).await.unwrap();
        numbers.push(handle.process());
        assert_eq!(handle.state().stream("secret").unwrap().keys, first.keys);
    }
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    let rewrap = Rewrap {
        key: first.keys[0].id,
        from: MasterKeyId::new(1),
        wrapped: wrapped(2, "cc"),
    };
    assert_eq!(handle.rewrap_data_keys(vec![rewrap.clone()]).await, Ok(1));
    assert_eq!(handle.rewrap_data_keys(vec![rewrap]).await, Ok(0));
    handle.shutdown().await;
    let handle = open(disk(), dir.path(), tiny()).await.unwrap();
    let state = handle.state();
    assert_eq!(state.stream("secret").unwrap().keys[0].wrapped, wrapped(2, "cc"));
    handle.shutdown().await;
}

#[tokio::test]
async fn a_new_process_leads_under_a_new_epoch_with_one_entry_of_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let handle = open(disk(), dir.path(), RaftSettings::default()).await.unwrap();
    for number in 0..20 {
        handle
            .create_stream(definition(&format!("s{number}"), 5))
            .await
            .unwrap();
    }
    let handle = reopen(handle, dir.path()).await;
    let before = handle.state();
    assert_eq!(handle.elect_local_leader().await, Ok(100));
    let state = handle.state();
    assert_eq!(state.revision(), before.revision() + 1);
    for stream in state.streams() {
        for partition in &stream.partitions {
            assert_eq!(partition.leader_epoch, LeaderEpoch::new(2));
            assert!(partition.is_led_by(handle.broker()));
        }
    }
    assert_eq!(state.broker(handle.broker()).unwrap().incarnation, 2);
    handle.shutdown().await;
}

#[tokio::test]
async fn what_is_there_answers_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let handle = open(disk(), dir.path(), RaftSettings::default()).await.unwrap();
    assert!(handle.is_leader_known());
    handle.create_stream(definition("orders", 1)).await.unwrap();
    let rejected = |rejection| Err::<(), _>(ChangeError::Rejected(rejection));
    let again = handle.create_stream(definition("orders", 1)).await.map(|_| ());
    assert_eq!(again, rejected(Rejection::StreamExists { name: name("orders") }));
    let missing = handle.delete_stream(&name("nowhere")).await.map(|_| ());
    assert_eq!(
        missing,
        rejected(Rejection::NoSuchStream {
            name: name("nowhere")
        })
    );
    let mut wide = definition("wide", 1);
    wide.replication_factor = 2;
    let wide = handle.create_stream(wide).await.map(|_| ());
    assert_eq!(
        wide,
        rejected(Rejection::InvalidReplicationFactor {
            factor: 2,
            brokers: 1
        })
    );
    handle.shutdown().await;
    let late = handle.create_stream(definition("late", 1)).await.map(|_| ());
    assert_eq!(late, Err(ChangeError::Failed(ProposeError::Stopping)));
    handle.shutdown().await;
}

#[tokio::test]
async fn snapshots_rolls_and_purges_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut handle = open(disk(), dir.path(), tiny()).await.unwrap();
    for round in 0..4 {
        for number in 0..25 {
            handle
                .create_stream(definition(&format!("s{round}-{number}"), 2))
                .await
                .unwrap();
            if number % 3 == 0 {
                handle
                    .delete_stream(&name(&format!("s{round}-{number}")))
                    .await
                    .unwrap();
            }
        }
        let before = handle.state();
        handle.shutdown().await;
        handle = open(disk(), dir.path(), tiny()).await.unwrap();
        let after = handle.state();
        assert!(after.streams().eq(before.streams()));
        assert!(
            after
                .pending_removals(handle.broker())
                .eq(before.pending_removals(handle.broker()))
        );
    }
    let files: Vec<_> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(files.iter().any(|file| file == "snapshot"), "{files:?}");
    assert!(
        !files.iter().any(|file| file == "00000000000000000001.log"),
        "purged segments are removed: {files:?}"
    );
    assert!(files.len() < 12, "{files:?}");
    handle.shutdown().await;
}

#[tokio::test]
async fn many_creations_at_once_share_entries_and_all_succeed() {
    let dir = tempfile::tempdir().unwrap();
    let handle = open(disk(), dir.path(), RaftSettings::default()).await.unwrap();
    let before = handle.state().revision();
    let creations = (0..1000).map(|number| {
        let handle = handle.clone();
        tokio::spawn(async move { handle.create_stream(definition(&format!("s{number}"), 1)).await })
    });
    for creation in creations.collect::<Vec<_>>() {
        creation.await.unwrap().unwrap();
    }
    let state = handle.state();
    assert_eq!(state.streams().len(), 1000);
    assert!(
        state.revision() - before < 100,
        "{} entries",
        state.revision() - before
    );
    let logs: std::collections::BTreeSet<_> =
        state.streams().map(|stream| stream.partitions[0].log).collect();
    assert_eq!(logs.len(), 1000);
    handle.shutdown().await;
}

#[tokio::test]
async fn changes_are_seen_by_who_watches() {
    let dir = tempfile::tempdir().unwrap();
    let handle = open(disk(), dir.path(), RaftSettings::default()).await.unwrap();
    let mut changes = handle.changes();
    changes.mark_unchanged();
    handle.create_stream(definition("orders", 1)).await.unwrap();
    changes.changed().await.unwrap();
    assert!(changes.borrow_and_update().stream("orders").is_some());
    handle.shutdown().await;
}

#[tokio::test]
async fn the_stored_identity_wins_over_the_configured_one() {
    let dir = tempfile::tempdir().unwrap();
    let start = |configured: Option<&str>| {
        let configured = configured.map(|id| BrokerId::new(id).unwrap());
        let identity = ServerIdentity {
            configured,
            host: "h".to_owned(),
            port: 1,
        };
        let path = dir.path().to_owned();
        async move {
            MetadataHandle::open(disk(), &path, identity, Arc::new(Noon))
                .await
                .unwrap()
        }
    };
    let handle = start(None).await;
    let first = handle.broker().clone();
    assert_eq!(first.as_str().len(), 22);
    handle.shutdown().await;
    let handle = start(Some("other")).await;
    assert_eq!(handle.broker(), &first);
    assert_eq!(handle.state().brokers().len(), 1);
    handle.shutdown().await;
}

#[tokio::test]
async fn a_directory_has_one_owner_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let handle = open(disk(), dir.path(), RaftSettings::default()).await.unwrap();
    let second = open(disk(), dir.path(), RaftSettings::default()).await;
    assert!(matches!(second, Err(OpenError::InUse { .. })), "{second:?}");
    handle.shutdown().await;
    open(disk(), dir.path(), RaftSettings::default())
        .await
        .unwrap()
        .shutdown()
        .await;
}

#[tokio::test]
async fn missing_and_damaged_files_are_refused_by_name_and_left_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let handle = open(disk(), dir.path(), tiny()).await.unwrap();
    for number in 0..40 {
        handle
            .create_stream(definition(&format!("s{number}"), 2))
            .await
            .unwrap();
    }
    handle.shutdown().await;
    let names: Vec<_> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    let files = names.iter().filter(|path| !path.ends_with("lock"));
    let mut tried = 0;
    for file in files {
        let whole = std::fs::read(file).unwrap();
        let mut flipped = whole.clone();
        flipped[30] ^= 4;
        for damage in [None, Some(flipped), Some(Vec::new()), Some(whole[..20].to_vec())] {
            match &damage {
                None => std::fs::remove_file(file).unwrap(),
                Some(bytes) => std::fs::write(file, bytes).unwrap(),
            }
            let refused = open(disk(), dir.path(), tiny()).await;
            let error = refused
                .map(|_| ())
                .expect_err("damage must be refused")
                .to_string();
            let directory = dir.path().to_str().unwrap();
            assert!(error.contains(directory), "{error}: {}", file.display());
            assert_eq!(std::fs::read(file).ok(), damage, "{}", file.display());
            tried += 1;
        }
        std::fs::write(file, &whole).unwrap();
    }
    assert!(tried >= 12);
    let handle = open(disk(), dir.path(), tiny()).await.unwrap();
    assert_eq!(handle.state().streams().len(), 40);
    handle.shutdown().await;
}

#[tokio::test]
async fn the_widest_streams_are_created_recorded_and_removed_many_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let handle = open(disk(), dir.path(), RaftSettings::default()).await.unwrap();
    let names = ["a", "b", "c", "d"];
    let creations = names.map(|name| handle.create_stream(definition(name, 10_000)));
    for created in futures_util::future::join_all(creations).await {
        handle.logs_created(&created.unwrap()).await.unwrap();
    }
    for stream in names {
        handle.delete_stream(&name(stream)).await.unwrap();
    }
    let pending: Vec<_> = handle.state().pending_removals(handle.broker()).collect();
    assert_eq!(pending.len(), 40_000);
    handle.logs_removed(pending).await.unwrap();
    let handle = reopen(handle, dir.path()).await;
    assert_eq!(handle.state().pending_removals(handle.broker()).count(), 0);
    assert_eq!(handle.state().partition_count(), 0);
    handle.shutdown().await;
}
