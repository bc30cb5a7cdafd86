//! A broker that is a read-only mount of an archive: what it starts, and what it leaves in its directory.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::StartError;
use crate::archiving;
use crate::context::Context;
use crate::settings::MountSettings;

/// Says that a directory is a mount's, so that what is in it is thrown away by the next one.
const MARK: &str = "mount";
/// What a mount keeps for as long as it runs. The cache of the archive stays.
const THROWN_AWAY: [&str; 4] = ["metadata", "streams", "streams-redb", "plugins"];

/// Makes a directory one of a mount without anything in it but the cache.
///
/// # Errors
///
/// It is that of a broker, or cannot be used.
pub(super) async fn clear_mount(directory: &Path) -> Result<(), StartError> {
    let directory = directory.to_owned();
    let cleared = tokio::task::spawn_blocking(move || {
        clear(&directory).map_err(|source| StartError::DataDirectory { directory, source })
    });
    cleared
        .await
        .map_err(|error| StartError::Thread(io::Error::other(error)))?
}

fn clear(directory: &Path) -> io::Result<()> {
    let mark = directory.join(MARK);
    let parts = THROWN_AWAY.map(|name| directory.join(name));
    if !mark.try_exists()? {
        if parts.iter().any(|part| part.exists()) {
            let reason = "it is the data directory of a broker, and a mount would throw away what is in it";
            return Err(io::Error::other(reason));
        }
        std::fs::write(
            &mark,
            "what is here is thrown away when the archive is mounted again\n",
        )?;
    }
    parts.iter().try_for_each(|part| remove(part))
}

fn remove(part: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(part) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Serves what is in the bucket, and follows it.
///
/// # Errors
///
/// The bucket cannot be asked, or has no such cluster.
pub(super) async fn start_mount(
    context: &Arc<Context>,
    settings: &MountSettings,
) -> Result<Vec<tokio::task::JoinHandle<()>>, StartError> {
    let mounted = archiving::mount(context, settings.cluster.clone()).await;
    let mount = mounted.map_err(|error| StartError::Archive {
        reason: crate::streams::describe(&error),
    })?;
    context.tasks.spawn(mount.follow(settings.interval));
    Ok(Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_throws_away_its_own_things_and_nobody_elses() {
        let root = tempfile::tempdir().unwrap();
        let (own, brokers) = (root.path().join("own"), root.path().join("brokers"));
        for directory in [&own, &brokers] {
            std::fs::create_dir_all(directory).unwrap();
        }
        clear(&own).unwrap();
        for name in ["metadata", "archive-cache"] {
            std::fs::create_dir_all(own.join(name).join("deep")).unwrap();
            std::fs::create_dir_all(brokers.join(name).join("deep")).unwrap();
        }
        clear(&own).unwrap();
        assert!(!own.join("metadata").exists() && own.join("archive-cache/deep").exists());
        let error = clear(&brokers).unwrap_err().to_string();
        assert!(error.contains("data directory of a broker"), "{error}");
        assert!(brokers.join("metadata/deep").exists());
    }
}
