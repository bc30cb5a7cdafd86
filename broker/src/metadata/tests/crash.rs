//! What is acked stays, whatever moment the power goes.

use super::*;
use strandline_storage_backends::sim::{Failing, Image, SimDisk};

const DIR: &str = "/data/metadata";

fn image() -> Image {
    Image::with_dir(Path::new("/data"))
}

fn shared(disk: &SimDisk) -> Arc<dyn Disk> {
    Arc::new(disk.clone())
}

/// The streams with the logs of their partitions, and the logs that are to be removed.
type Contents = (Vec<(String, Vec<LogId>)>, Vec<LogId>);

fn contents(handle: &MetadataHandle) -> Contents {
    let state = handle.state();
    let stream = |entry: &Arc<strandline_core::metadata::StreamEntry>| {
        let logs = entry.partitions.iter().map(|partition| partition.log).collect();
        (entry.definition.name.to_string(), logs)
    };
    let streams = state.streams().map(stream).collect();
    (streams, state.pending_removals(handle.broker()).collect())
}

/// Three in four changes create, the fourth deletes.
async fn change(handle: &MetadataHandle, number: usize) {
    if number % 4 == 3 {
        handle
            .delete_stream(&name(&format!("s{}", number - 2)))
            .await
            .unwrap();
    } else {
        handle
            .create_stream(definition(&format!("s{number}"), 2))
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acked_changes_survive_a_power_loss_at_any_operation() {
    let start = image();
    let disk = SimDisk::of(start.clone());
    let handle = open(shared(&disk), Path::new(DIR), tiny()).await.unwrap();
    let mut acked = vec![(disk.moment(), contents(&handle))];
    for number in 0..16 {
        change(&handle, number).await;
        acked.push((disk.moment(), contents(&handle)));
    }
    let end = disk.moment();
    handle.shutdown().await;
    let mut images = 0;
    for moment in 0..=end {
        let done = acked.iter().rposition(|(ack, _)| *ack <= moment);
        let allowed: Vec<&Contents> = match done {
            Some(done) => acked[done..]
                .iter()
                .take(2)
                .map(|(_, contents)| contents)
                .collect(),
            None => vec![&acked[0].1],
        };
        for image in disk.crash_images(&start, moment) {
            check_image(image, &allowed, moment).await;
            images += 1;
        }
    }
    assert!(images > 200, "{images} images");
}

async fn check_image(image: Image, allowed: &[&Contents], moment: usize) {
    let disk = SimDisk::of(image);
    let handle = open(shared(&disk), Path::new(DIR), tiny()).await;
    let handle = handle.unwrap_or_else(|error| panic!("operation {moment}: {error}"));
    let found = contents(&handle);
    assert!(
        allowed.contains(&&found),
        "operation {moment}: {found:?} is none of {allowed:?}"
    );
    let entry = handle
        .create_stream(definition("after-the-crash", 1))
        .await
        .unwrap();
    let log = entry.partitions[0].log;
    let given = found.0.iter().flat_map(|(_, logs)| logs).chain(&found.1);
    assert!(
        given.into_iter().all(|given| *given < log),
        "operation {moment}: log {log} was given before"
    );
    handle.shutdown().await;
}

#[tokio::test]
async fn a_full_disk_refuses_creations_takes_deletions_and_works_again_with_room() {
    let disk = SimDisk::of(image());
    let settings = RaftSettings::default();
    let handle = open(shared(&disk), Path::new(DIR), settings).await.unwrap();
    disk.limit_room(Some(0));
    let mut created = 0;
    let refused = loop {
        match handle.create_stream(definition(&format!("s{created}"), 1)).await {
            Ok(_) => created += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(refused, ChangeError::Failed(ProposeError::DiskFull));
    assert!(created > 0, "what was reserved is used");
    let oldest = name("s0");
    let (second, deleted) = tokio::join!(
        handle.create_stream(definition("no-room", 1)),
        handle.delete_stream(&oldest),
    );
    assert_eq!(
        second.map(|_| ()),
        Err(ChangeError::Failed(ProposeError::DiskFull))
    );
    assert_eq!(deleted.map(|_| ()), Ok(()));
    handle.shutdown().await;

    let handle = open(shared(&disk), Path::new(DIR), settings).await.unwrap();
    handle.elect_local_leader().await.unwrap();
    assert_eq!(handle.state().streams().len(), created - 1);
    assert!(handle.create_stream(definition("no-room", 1)).await.is_err());
    disk.limit_room(None);
    handle.create_stream(definition("room", 1)).await.unwrap();
    handle.shutdown().await;
}

#[tokio::test]
async fn a_failed_sync_is_answered_as_a_failure_until_a_restart() {
    let disk = SimDisk::of(image());
    let handle = open(shared(&disk), Path::new(DIR), tiny()).await.unwrap();
    handle.create_stream(definition("before", 1)).await.unwrap();
    disk.fail(Failing::FileSyncs);
    let failed = handle.create_stream(definition("during", 1)).await.map(|_| ());
    assert!(
        matches!(failed, Err(ChangeError::Failed(ProposeError::Failed { .. }))),
        "{failed:?}"
    );
    disk.fail(Failing::None);
    let still = handle.create_stream(definition("later", 1)).await.map(|_| ());
    assert!(
        matches!(still, Err(ChangeError::Failed(ProposeError::Failed { .. }))),
        "{still:?}"
    );
    handle.shutdown().await;
    let handle = open(shared(&disk), Path::new(DIR), tiny()).await.unwrap();
    assert!(handle.state().stream("before").is_some());
    assert!(handle.state().stream("later").is_none());
    handle.create_stream(definition("later", 1)).await.unwrap();
    handle.shutdown().await;
}
